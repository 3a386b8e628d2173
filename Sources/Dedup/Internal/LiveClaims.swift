internal import ReliabilityCore

/// The claims whose holders live in one process.
///
/// A lease only says that its holder has not renewed it. A process that stood still for longer finds its leases over and
/// its operations running; what it holds itself, it need not guess.
final class LiveClaims: Sendable {
    /// The claims of this process.
    static let ofThisProcess = LiveClaims()

    // Several locks, so that calls on different cores do not wait for each other.
    private final class Shard: Sendable { let claims = Lock<Set<ClaimID>>([]) }
    private let shards = (0..<16).map { _ in Shard() }

    private func shard(of id: ClaimID) -> Shard { shards[id.shard(of: shards.count)] }

    /// Adds a claim before it is written, so that nobody finds it in the store first.
    func insert(_ id: ClaimID) { shard(of: id).claims.withLock { _ = $0.insert(id) } }

    /// Removes a claim that is settled or given up.
    func remove(_ id: ClaimID) { shard(of: id).claims.withLock { _ = $0.remove(id) } }

    /// Whether the holder of a claim lives in this process.
    func contains(_ id: ClaimID) -> Bool { shard(of: id).claims.withLock { $0.contains(id) } }
}
