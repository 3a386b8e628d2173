internal import ReliabilityCore

/// The claims whose holders run in this process.
///
/// An ended lease proves only that its holder did not renew the lease. After a suspension, a process finds its own
/// leases ended while its operations still run. The set prevents a takeover of such claims within the process.
final class LocalClaims: Sendable {
    /// The claims of this process.
    static let shared = LocalClaims()

    // Several locks, so that calls on different cores do not wait for each other.
    private final class Shard: Sendable { let claims = Lock<Set<ClaimID>>([]) }
    private let shards = (0..<16).map { _ in Shard() }

    private func shard(of id: ClaimID) -> Shard { shards[id.shard(of: shards.count)] }

    /// Adds a claim, before the claim is written to a store.
    func insert(_ id: ClaimID) { shard(of: id).claims.withLock { _ = $0.insert(id) } }

    /// Removes a claim that is settled or released.
    func remove(_ id: ClaimID) { shard(of: id).claims.withLock { _ = $0.remove(id) } }

    /// Returns a Boolean value that indicates whether the holder of a claim runs in this process.
    func contains(_ id: ClaimID) -> Bool { shard(of: id).claims.withLock { $0.contains(id) } }
}
