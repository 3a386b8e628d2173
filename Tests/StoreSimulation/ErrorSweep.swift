/// What a sweep tried.
package struct ErrorCounts: Hashable, Sendable {
    package var workloads = 0
    /// Runs with one thing that goes wrong.
    package var faults = 0
    /// Stores that failed for good.
    package var failures = 0
    package var refusedOpenings = 0
    /// Writes for which the disk had no space.
    package var refusedWrites = 0
    /// Crashes at the end, each with a store that was opened and compared.
    package var crashes = 0

    package init() {}

    package mutating func add(_ other: ErrorCounts) {
        workloads += other.workloads
        faults += other.faults
        failures += other.failures
        refusedOpenings += other.refusedOpenings
        refusedWrites += other.refusedWrites
        crashes += other.crashes
    }
}

/// A random workload, repeated with an error at every call to the file system.
///
/// A call fails once, or with all calls after it: with an error before or after it was done, with a full disk that
/// takes nothing or half of a write, and a sync with the page cache that keeps what was not written and with one that
/// drops it. The workload opens the store, fills, extends and compacts its log, closes it, and opens it again.
package struct ErrorSweep {
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
        for isForEver in [false, true] {
            faults.append(.init(.error, atCall: call, isForEver: isForEver))
            faults.append(.init(.lateError, atCall: call, isForEver: isForEver))
            switch kind {
            case .sync, .rename, .syncDirectory:
                // Once only: it is about these calls.
                if !isForEver { faults.append(.init(.noSpaceError, atCall: call)) }
                if kind != .sync { break }
                faults.append(.init(.error, atCall: call, isForEver: isForEver, cacheKeepsContent: false))
            case .openOrCreate, .create, .write:
                faults.append(.init(.noSpace(writesHalf: false), atCall: call, isForEver: isForEver))
                faults.append(.init(.noSpace(writesHalf: true), atCall: call, isForEver: isForEver))
                faults.append(.init(.short, atCall: call, isForEver: isForEver))
            case .read:
                faults.append(.init(.short, atCall: call, isForEver: isForEver))
            default: break
            }
        }
        return faults
    }

    /// Runs the workload with a fault, or without.
    ///
    /// - Returns: The calls that could fail.
    private mutating func run(_ fault: SimulatedFileSystem.Fault?) throws(Violation) -> [SimulatedFileSystem.Call.Kind]
    {
        var run = try ErrorRun(seed, fault)
        try run.work()
        try run.crash()
        counts.failures += run.failures
        counts.refusedOpenings += run.refusedOpenings
        counts.refusedWrites += run.refusedWrites
        counts.crashes += run.crashes
        return run.calls
    }
}
