#if RELIABILITY_SANITIZE_THREAD

/// A value behind a lock; in sanitizer builds a `pthread_mutex`, whose calls the thread sanitizer sees.
@usableFromInline
package struct Lock<State: ~Copyable>: ~Copyable, @unchecked Sendable {
    // @unchecked Sendable: `state` is read and written between `monitor.lock()` and `unlock()` only.
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
    /// No user code and no `await` belongs in it.
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

/// A value behind a lock; `Mutex`, but for sanitizer builds, which cannot see through it.
@usableFromInline
package struct Lock<State: ~Copyable>: ~Copyable, Sendable {
    @usableFromInline let mutex: Mutex<State>

    /// Creates a lock around an initial value.
    @inlinable
    package init(_ state: consuming sending State) { mutex = Mutex(state) }

    /// Runs `body` with exclusive access to the value.
    ///
    /// No user code and no `await` belongs in it.
    @inlinable
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        try mutex.withLock(body)
    }
}
#endif
