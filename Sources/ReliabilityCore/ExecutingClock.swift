/// A clock that says where the tasks run whose work it times.
///
/// An unstructured task does not inherit its creator's preferred executor. A simulation, which runs everything on one
/// thread, hands its executor to those who start such tasks with the clock that they have in any case.
package protocol ExecutingClock: Sendable {
    /// What unstructured tasks run on; nil for the usual.
    var taskExecutor: (any TaskExecutor)? { get }
}
