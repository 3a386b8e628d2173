public import ReliabilityCore
public import ReliabilityStore

/// The right to run an operation, while it runs.
public struct DedupClaim: Hashable, Sendable {
    /// The fencing token: larger than that of every earlier claim of the key.
    ///
    /// `nil` if nothing is claimed, because the store is down and the policy is open.
    public let token: StoreVersion?

    /// Whether an earlier claim of the key was never settled, so that the effects of its run are not known.
    ///
    /// The earlier process died, or in a store of several processes stood still for longer than its lease. Such a claim
    /// is known for as long as a result would be kept, and for at least 30 days. The flag stays until a run succeeds: when
    /// this run throws, the next one is a takeover too. False if nothing is claimed.
    public let isTakeover: Bool

    /// A condition for a commit to the same store, which then happens only while the claim is held.
    ///
    /// An operation that lost its claim, because its process stood still for longer than the lease, does not write over
    /// what its successor wrote. `nil` if nothing is claimed.
    public let fence: StoreWrite?

    init(token: StoreVersion?, isTakeover: Bool, key: StoreKey) {
        self.token = token
        self.isTakeover = isTakeover
        fence = token.map { .check(key, .version($0)) }
    }
}
