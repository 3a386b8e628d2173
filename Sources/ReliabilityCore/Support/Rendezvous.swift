/// The state of a waiting task that the first of several events resumes, such as a result, a timer or a cancellation.
///
/// The owner keeps the state under a lock and resumes the task outside of the lock.
@usableFromInline
package struct Rendezvous<Value: Sendable>: Sendable {
    /// A resolved rendezvous, whose waiting task the owner resumes outside of the lock.
    @usableFromInline
    package struct Resumption: Sendable {
        /// The value of the first event.
        @usableFromInline package let value: Value
        @usableFromInline let continuation: CheckedContinuation<Value, Never>?

        @inlinable
        init(_ value: Value, _ continuation: CheckedContinuation<Value, Never>?) {
            self.value = value
            self.continuation = continuation
        }

        /// A Boolean value that indicates whether a task waits.
        @inlinable
        package var hasWaiter: Bool { continuation != nil }

        /// Resumes the waiting task, if there is one.
        @inlinable
        package func resume() { continuation?.resume(returning: value) }
    }

    @usableFromInline var continuation: CheckedContinuation<Value, Never>?
    /// The value of the first event, or `nil` before the first event.
    @usableFromInline package internal(set) var value: Value?

    /// Creates a rendezvous without an event.
    @inlinable
    package init() {}

    /// A Boolean value that indicates whether an event has come.
    @inlinable
    package var isResolved: Bool { value != nil }

    /// Stores the continuation of the waiting task.
    ///
    /// - Parameter continuation: The continuation.
    /// - Returns: The resumption if an event has come already, or `nil` if the task waits.
    @inlinable
    package mutating func wait(_ continuation: CheckedContinuation<Value, Never>) -> Resumption? {
        if let value { return Resumption(value, continuation) }
        self.continuation = continuation
        return nil
    }

    /// Records an event.
    ///
    /// - Parameter value: The value of the event.
    /// - Returns: The resumption for the first event, or `nil` for a later event.
    @inlinable
    package mutating func resolve(_ value: Value) -> Resumption? {
        if isResolved { return nil }
        self.value = value
        return Resumption(value, continuation.take())
    }
}
