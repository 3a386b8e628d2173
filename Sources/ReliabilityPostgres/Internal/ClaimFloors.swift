internal import ReliabilityCore
internal import ReliabilityStore

/// The due times from which claims of the queues begin.
///
/// Removed records leave dead entries in the index until a vacuum, and a long transaction delays every vacuum. A claim
/// that begins after the due time of the last full batch does not visit the dead entries.
struct ClaimFloors {
    private struct Floor {
        var due: Int64 = 0
        /// The next time at which a claim begins from the first record.
        var nextFullStart: Int64
    }

    /// The distance that covers records with slightly different due times in concurrent transactions.
    static let margin: Int64 = 50_000
    /// The time after which a claim begins from the first record.
    ///
    /// A transaction of a user may add a record long after its due time was computed.
    static let interval: Int64 = 1_000_000_000
    private static let capacity = 1024

    private var floors: [QueueName: Floor] = [:]

    /// The due time from which the next claim begins, in microseconds.
    mutating func begin(_ queue: QueueName, now: Int64) -> Int64 {
        guard var floor = floors[queue] else { return 0 }
        if now >= floor.nextFullStart {
            floor.nextFullStart = now.saturatingAdd(Self.interval)
            floors[queue] = floor
            return 0
        }
        return floor.due
    }

    /// Records the result of a claim.
    ///
    /// - Parameters:
    ///   - queue: The queue.
    ///   - lastDue: The latest due time of a full batch, or `nil` if the batch was not full.
    ///   - now: The time of the client's monotonic clock, in nanoseconds.
    mutating func end(_ queue: QueueName, lastDue: Int64?, now: Int64) {
        guard let lastDue else {
            floors[queue] = nil
            return
        }
        let start = floors[queue]?.nextFullStart ?? now.saturatingAdd(Self.interval)
        if floors.count >= Self.capacity, floors[queue] == nil { floors.removeAll() }
        floors[queue] = Floor(due: max(0, lastDue.saturatingSubtract(Self.margin)), nextFullStart: start)
    }
}
