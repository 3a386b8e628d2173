/// The state of a waiting task that the first of several events resumes, such as a result, a timer or a cancellation.
///
/// The owner keeps the state under a lock and resumes the task outside of the lock.
package struct Rendezvous<Value: Sendable>: Sendable {
    /// A resolved rendezvous, whose waiting task the owner resumes outside of the lock.
    package struct Resumption: Sendable {
        /// The value of the first event.
        package let value: Value
        private let continuation: CheckedContinuation<Value, Never>?

        fileprivate init(_ value: Value, _ continuation: CheckedContinuation<Value, Never>?) {
            self.value = value
            self.continuation = continuation
        }

        /// A Boolean value that indicates whether a task waits.
        package var hasWaiter: Bool { continuation != nil }

        /// Resumes the waiting task, if there is one.
        package func resume() { continuation?.resume(returning: value) }
    }

    private var continuation: CheckedContinuation<Value, Never>?
    /// The value of the first event, or `nil` before the first event.
    package private(set) var value: Value?

    /// Creates a rendezvous without an event.
    package init() {}

    /// A Boolean value that indicates whether an event has come.
    package var isResolved: Bool { value != nil }

    /// Stores the continuation of the waiting task.
    ///
    /// - Parameter continuation: The continuation.
    /// - Returns: The resumption if an event has come already, or `nil` if the task waits.
    package mutating func wait(_ continuation: CheckedContinuation<Value, Never>) -> Resumption? {
        if let value { return Resumption(value, continuation) }
        self.continuation = continuation
        return nil
    }

    /// Records an event.
    ///
    /// - Parameter value: The value of the event.
    /// - Returns: The resumption for the first event, or `nil` for a later event.
    package mutating func resolve(_ value: Value) -> Resumption? {
        if isResolved { return nil }
        self.value = value
        return Resumption(value, continuation.take())
    }
}
