#if RELIABILITY_SANITIZE_THREAD

/// A value behind a `pthread_mutex`, whose calls are visible to the thread sanitizer.
@usableFromInline
package struct Lock<State: ~Copyable>: ~Copyable, @unchecked Sendable {
    // @unchecked Sendable: `state` is accessed only with `monitor` locked.
    private final class Storage {
        let monitor = ThreadMonitor()
        var state: State
        init(_ state: consuming sending State) { self.state = state }
    }
    private let storage: Storage

    /// Creates a lock around an initial value.
    package init(_ state: consuming sending State) { storage = Storage(state) }

    /// Runs `body` with exclusive access to the value.
    ///
    /// `body` must not run user code.
    @usableFromInline
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        storage.monitor.lock()
        defer { storage.monitor.unlock() }
        return try body(&storage.state)
    }
}

#else
public import Synchronization

/// A value behind a `Mutex`.
///
/// Sanitizer builds use a `pthread_mutex` instead, because the thread sanitizer cannot see the lock inside `Mutex`.
@usableFromInline
package struct Lock<State: ~Copyable>: ~Copyable, Sendable {
    @usableFromInline let mutex: Mutex<State>

    /// Creates a lock around an initial value.
    @inlinable
    package init(_ state: consuming sending State) { mutex = Mutex(state) }

    /// Runs `body` with exclusive access to the value.
    ///
    /// `body` must not run user code.
    @inlinable
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        try mutex.withLock(body)
    }
}
#endif
