public import ReliabilityStore

/// The right to run an operation for a key, held while the operation runs.
public struct DedupClaim: Hashable, Sendable {
    /// The fencing token, or `nil` if the operation runs without a claim.
    ///
    /// The token is larger than the token of every earlier claim of the key. An operation runs without a claim only
    /// while the store is down and the failure mode is `failOpen`.
    public let token: StoreVersion?

    /// A Boolean value that indicates whether an earlier claim of the key was never settled.
    ///
    /// The effects of the earlier run are unknown. Its process died, or was suspended for longer than its lease in a
    /// store of several processes. An unsettled claim is remembered for the retention of results and for at least 30
    /// days.
    ///
    /// The value stays `true` until a run succeeds: if this run throws, the next run is a takeover too. The value is
    /// `false` if the operation runs without a claim.
    public let isTakeover: Bool

    /// A condition that lets a commit to the same store succeed only while the claim is held.
    ///
    /// An operation that lost its claim cannot overwrite the writes of its successor if its commits include the fence.
    /// The value is `nil` if the operation runs without a claim.
    public let fence: StoreWrite?

    init(token: StoreVersion?, isTakeover: Bool, key: StoreKey) {
        self.token = token
        self.isTakeover = isTakeover
        fence = token.map { .check(key, .version($0)) }
    }
}
