internal import ReliabilityCore

/// The numbers of calls since the creation of a bulkhead.
struct BulkheadCounters: Hashable, Sendable {
    var admitted: UInt64 = 0
    private(set) var admittedAfterWait: UInt64 = 0
    private(set) var totalWait: Int64 = 0
    private(set) var longestWait: Int64 = 0
    private var rejections: [Rejection: UInt64] = [:]

    private struct Rejection: Hashable {
        let reason: BulkheadError.Reason
        let priority: CallPriority
    }

    mutating func countAdmission(after wait: Int64) {
        admitted += 1
        admittedAfterWait += 1
        totalWait = totalWait.saturatingAdd(wait)
        longestWait = max(longestWait, wait)
    }

    mutating func countRejection(_ reason: BulkheadError.Reason, _ priority: CallPriority) {
        rejections[Rejection(reason: reason, priority: priority), default: 0] += 1
    }

    /// Returns the number of rejections, where `nil` stands for every reason and every priority.
    func rejected(_ reason: BulkheadError.Reason?, _ priority: CallPriority?) -> UInt64 {
        rejections.reduce(0) { sum, entry in
            let matches = (reason ?? entry.key.reason) == entry.key.reason
            return matches && (priority ?? entry.key.priority) == entry.key.priority ? sum + entry.value : sum
        }
    }
}
