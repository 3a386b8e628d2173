/// The counts of a sweep.
package struct ErrorCounts: SweepCounts, Hashable {
    package var workloads = 0
    /// The number of runs with a fault.
    package var faults = 0
    /// The number of stores that failed permanently.
    package var failures = 0
    package var rejectedOpenings = 0
    /// The number of writes without space.
    package var rejectedWrites = 0
    /// The number of crashes after which the store was opened and compared.
    package var crashes = 0

    package init() {}

    package mutating func add(_ other: ErrorCounts) {
        workloads += other.workloads
        faults += other.faults
        failures += other.failures
        rejectedOpenings += other.rejectedOpenings
        rejectedWrites += other.rejectedWrites
        crashes += other.crashes
    }
}

/// A random workload that is repeated with an error at every call to the file system.
///
/// A call fails once, or with all calls after it: with an error before or after it was done, with a full disk that
/// takes nothing or half of a write, and a sync with the page cache that keeps what was not written and with one that
/// drops it. The workload opens the store, fills, extends and compacts its log, closes it, and opens it again.
package struct ErrorSweep: Sweep {
    package private(set) var counts = ErrorCounts()
    private let seed: UInt64

    package init(_ seed: UInt64) { self.seed = seed }

    package mutating func run() throws(Violation) {
        counts.workloads += 1
        let calls = try run(nil)
        for (index, kind) in calls.enumerated() {
            for fault in Self.faults(atCall: index + 1, of: kind) {
                counts.faults += 1
                do throws(Violation) {
                    _ = try run(fault)
                } catch {
                    throw Violation("\(fault) (a \(kind)): \(error)")
                }
            }
        }
    }

    private static func faults(
        atCall call: Int,
        of kind: SimulatedFileSystem.Call.Kind
    ) -> [SimulatedFileSystem.Fault] {
        var faults: [SimulatedFileSystem.Fault] = []
        for isPermanent in [false, true] {
            faults.append(.init(.error, atCall: call, isPermanent: isPermanent))
            faults.append(.init(.lateError, atCall: call, isPermanent: isPermanent))
            switch kind {
            case .sync, .syncDirectory:
                // The fault concerns these calls and therefore occurs once.
                if !isPermanent { faults.append(.init(.noSpaceError, atCall: call)) }
                if kind != .sync { break }
                faults.append(.init(.error, atCall: call, isPermanent: isPermanent, cacheKeepsContent: false))
            case .openOrCreate, .create, .write:
                faults.append(.init(.noSpace(writesHalf: false), atCall: call, isPermanent: isPermanent))
                faults.append(.init(.noSpace(writesHalf: true), atCall: call, isPermanent: isPermanent))
                faults.append(.init(.short, atCall: call, isPermanent: isPermanent))
            case .read:
                faults.append(.init(.short, atCall: call, isPermanent: isPermanent))
            default: break
            }
        }
        return faults
    }

    /// Runs the workload with a fault or without.
    ///
    /// - Returns: The calls that can fail.
    private mutating func run(_ fault: SimulatedFileSystem.Fault?) throws(Violation) -> [SimulatedFileSystem.Call.Kind]
    {
        var run = try ErrorRun(seed, fault)
        try run.work()
        try run.crash()
        counts.failures += run.failures
        counts.rejectedOpenings += run.rejectedOpenings
        counts.rejectedWrites += run.rejectedWrites
        counts.crashes += run.crashes
        return run.calls
    }
}
