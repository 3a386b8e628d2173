/// A random workload that is repeated with a crash or an error at every call to the file system.
package protocol Sweep: SendableMetatype {
    associatedtype Counts: SweepCounts

    /// The numbers of the runs until now.
    var counts: Counts { get }

    init(_ seed: UInt64)

    mutating func run() throws(Violation)
}

/// The numbers of runs and of their ends.
package protocol SweepCounts: Sendable {
    init()

    mutating func add(_ other: Self)
}
