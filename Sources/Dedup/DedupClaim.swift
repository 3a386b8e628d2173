public import ReliabilityCore
public import ReliabilityStore

/// The right to run an operation, while it runs.
public struct DedupClaim: Hashable, Sendable {
    /// The fencing token: larger than that of every earlier claim of the key.
    ///
    /// Nil when the store was down and the policy is open: then nothing is claimed.
    public let token: StoreVersion?

    /// Whether an earlier process had claimed the key and is gone.
    ///
    /// What it did before it went is not known.
    public let isTakeover: Bool

    /// A condition for a commit to the same store: it happens only while the claim is held.
    ///
    /// So an operation that lost its claim, because its process stood still for longer than the lease, does not write
    /// over what its successor wrote. Nil when nothing is claimed.
    public let fence: StoreWrite?

    init(token: StoreVersion?, isTakeover: Bool, key: StoreKey) {
        self.token = token
        self.isTakeover = isTakeover
        fence = token.map { .check(key, .version($0)) }
    }
}
