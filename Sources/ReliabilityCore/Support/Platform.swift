internal import Synchronization

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// All code of this module that depends on the operating system.

/// A `pthread_mutex_t` with condition variables that wait on the monotonic clock.
@safe package final class ThreadMonitor: @unchecked Sendable {
    // @unchecked Sendable: both pointers are set once, and pthread objects are designed for concurrent use.
    // @safe: the pointers are private and freed only in `deinit`.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let conditions: UnsafeMutableBufferPointer<pthread_cond_t>

    /// Creates an unlocked monitor.
    ///
    /// - Parameter count: The number of condition variables, at least 1. Defaults to 1.
    package init(conditions count: Int = 1) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe pthread_mutex_init(mutex, nil)
        unsafe conditions = .allocate(capacity: count)
        unsafe conditions.initialize(repeating: pthread_cond_t())
        for index in unsafe conditions.indices {
            #if canImport(Darwin)
            unsafe pthread_cond_init(&conditions[index], nil)
            #else
            var attributes = pthread_condattr_t()
            unsafe pthread_condattr_init(&attributes)
            unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            unsafe pthread_cond_init(&conditions[index], &attributes)
            unsafe pthread_condattr_destroy(&attributes)
            #endif
        }
    }

    deinit {
        for index in unsafe conditions.indices { unsafe pthread_cond_destroy(&conditions[index]) }
        unsafe conditions.deallocate()
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Acquires the lock.
    package func lock() { unsafe pthread_mutex_lock(mutex) }
    /// Releases the lock.
    package func unlock() { unsafe pthread_mutex_unlock(mutex) }
    /// Wakes a thread that waits for a condition.
    package func signal(_ condition: Int = 0) { unsafe pthread_cond_signal(&conditions[condition]) }

    /// Waits for a signal.
    ///
    /// The wait may end early without a signal.
    ///
    /// - Parameters:
    ///   - condition: The condition. Defaults to the first.
    ///   - nanoseconds: The longest wait, or `nil` to wait without a limit.
    /// - Precondition: The caller holds the lock.
    package func wait(_ condition: Int = 0, nanoseconds: Int64?) {
        guard let nanoseconds else {
            unsafe pthread_cond_wait(&conditions[condition], mutex)
            return
        }
        // At most a year, so that no `time_t` arithmetic overflows.
        let bounded = min(max(nanoseconds, 0), 365 * 86_400 * 1_000_000_000)
        #if canImport(Darwin)
        var relative = timespec(tv_sec: Int(bounded / 1_000_000_000), tv_nsec: Int(bounded % 1_000_000_000))
        unsafe pthread_cond_timedwait_relative_np(&conditions[condition], mutex, &relative)
        #else
        var instant = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &instant)
        let nanos = Int64(instant.tv_nsec) + bounded % 1_000_000_000
        instant.tv_sec += Int(bounded / 1_000_000_000 + nanos / 1_000_000_000)
        instant.tv_nsec = Int(nanos % 1_000_000_000)
        unsafe pthread_cond_timedwait(&conditions[condition], mutex, &instant)
        #endif
    }
}

/// Starts a detached thread.
///
/// - Parameter body: The work of the thread.
/// - Returns: `false` if the system rejects the thread. `body` then does not run.
@Sendable @discardableResult
package func tryToStartThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let start = unsafe Unmanaged.passRetained(Start(body)).toOpaque()
    #if canImport(Darwin)
    var thread: pthread_t?
    let result = unsafe pthread_create(
        &thread,
        nil,
        { context in
            unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
            return nil
        },
        start
    )
    if let thread = unsafe thread { unsafe pthread_detach(thread) }
    #else
    var thread = pthread_t()
    let result = unsafe pthread_create(
        &thread,
        nil,
        { context in
            if let context = unsafe context { unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        },
        start
    )
    if result == 0 { pthread_detach(thread) }
    #endif
    if result != 0 { unsafe Unmanaged<Start>.fromOpaque(start).release() }
    return result == 0
}

/// Returns the number of the current process, which differs in a forked process.
@Sendable
package func processIdentifier() -> Int32 {
    _ = forgetsProcessAfterFork
    let known = knownProcess.load(ordering: .relaxed)
    if known != 0 { return known }
    let process = getpid()
    knownProcess.store(process, ordering: .relaxed)
    return process
}

// A system call in each call to a store would take longer than the call itself.
private let knownProcess = Atomic<Int32>(0)
private let forgetsProcessAfterFork: Int32 = pthread_atfork(nil, nil) { knownProcess.store(0, ordering: .relaxed) }

/// Returns the wall-clock time in nanoseconds since 1970.
///
/// Only stores read the wall clock. A store reads the wall clock once while it is opened.
package func unixNanoseconds() -> Int64 {
    var instant = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &instant)
    return Int64(instant.tv_sec).saturatingMultiply(1_000_000_000).saturatingAdd(Int64(instant.tv_nsec))
}

/// Returns the reading of `ContinuousClock` in nanoseconds since the system was started.
@usableFromInline
package func continuousNanoseconds() -> Int64 {
    #if canImport(Darwin)
    return Int64(clamping: clock_gettime_nsec_np(CLOCK_MONOTONIC_RAW))
    #else
    var instant = timespec()
    unsafe clock_gettime(CLOCK_BOOTTIME, &instant)
    // No system runs for 292 years.
    return Int64(instant.tv_sec) &* 1_000_000_000 &+ Int64(instant.tv_nsec)
    #endif
}

/// Returns the reading of `SuspendingClock` in nanoseconds since the system was started.
///
/// The reading does not count system sleep.
package func suspendingNanoseconds() -> Int64 {
    #if canImport(Darwin)
    return Int64(clamping: clock_gettime_nsec_np(CLOCK_UPTIME_RAW))
    #else
    var instant = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &instant)
    return Int64(instant.tv_sec) &* 1_000_000_000 &+ Int64(instant.tv_nsec)
    #endif
}

/// Lets other threads use the processor.
package func yieldProcessor() { sched_yield() }

/// Writes text to the standard error stream without buffering and ignores errors.
@Sendable
package func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { bytes in _ = unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count) }
}
