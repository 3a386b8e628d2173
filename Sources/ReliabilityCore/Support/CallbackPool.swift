/// A pool of threads for user callbacks of a single kind.
///
/// The threads are separate from the cooperative pool and from the timer thread. A callback that blocks therefore
/// delays no task and no timer. The pool adds threads while jobs are delayed, so that a blocked callback delays other
/// callbacks for milliseconds only. The operating system alone limits the number of threads. An idle thread ends after
/// 10 seconds.
final class CallbackPool: @unchecked Sendable {
    // @unchecked Sendable: mutable state is accessed only with `monitor` locked.

    /// The process-wide pool for observers.
    static let observers = CallbackPool()
    /// The process-wide pool for the cancellation handlers of operations that reached their time limit.
    static let cancellations = CallbackPool()

    private static let maxIdleThreads = 4
    private static let idleNanoseconds: Int64 = 10_000_000_000
    /// The lowest number of jobs that a busy thread begins between two checks (100 µs a job).
    ///
    /// A thread that begins fewer jobs is blocked.
    private static let jobsOfBusyThread: UInt64 = 20

    private let startThread: @Sendable (@escaping @Sendable () -> Void) -> Bool
    private let monitor = ThreadMonitor()
    /// The jobs, of which the waiting jobs begin at index `next`.
    private var jobs: [(@Sendable () -> Void)?] = []
    private var next = 0
    private var threads = 0
    private var startingThreads = 0
    private var idleThreads = 0
    /// The number of started jobs.
    private var begun: UInt64 = 0
    /// The value of `begun` at the last check.
    private var begunAtCheck: UInt64 = 0
    /// The value of `begun` after the start of every job that waited at the last check.
    private var begunWithoutDelay: UInt64 = 0
    private var isCheckScheduled = false

    /// Creates a pool without threads.
    ///
    /// - Parameter startThread: Starts a thread, or returns `false` if the system rejects the thread.
    init(startThread: @escaping @Sendable (@escaping @Sendable () -> Void) -> Bool = tryToStartThread) {
        self.startThread = startThread
    }

    /// The number of threads.
    var threadCount: Int {
        monitor.lock()
        defer { monitor.unlock() }
        return threads
    }

    /// Runs a job on a thread of the pool.
    ///
    /// Jobs begin in the order of their calls to this method.
    func run(_ job: @escaping @Sendable () -> Void) {
        monitor.lock()
        defer { monitor.unlock() }
        jobs.append(job)
        if threads == 0 { grow(by: 1) }
        if idleThreads > 0 { monitor.signal() }
        // An idle thread may have been woken for an earlier job.
        if waiting > idleThreads + startingThreads { scheduleStallCheck() }
    }

    // The following members require that `monitor` is locked.

    /// The number of waiting jobs.
    private var waiting: Int { jobs.count - next }

    private func nextJob() -> (@Sendable () -> Void)? {
        guard waiting > 0 else { return nil }
        let job = jobs[next].take()
        next += 1
        if next == jobs.count || next >= 1024, next * 2 >= jobs.count {
            jobs.removeFirst(next)
            next = 0
        }
        begun &+= 1
        return job
    }

    /// Schedules a check for delayed jobs in two milliseconds.
    private func scheduleStallCheck() {
        if isCheckScheduled { return }
        isCheckScheduled = true
        begunAtCheck = begun
        begunWithoutDelay = begun &+ UInt64(waiting)
        let soon = continuousNanoseconds().saturatingAdd(2_000_000)
        _ = DeadlineScheduler.shared.schedule(at: soon) { [self] in
            monitor.lock()
            defer { monitor.unlock() }
            isCheckScheduled = false
            if waiting == 0 { return }
            let isBusy = begun &- begunAtCheck >= UInt64(threads) * Self.jobsOfBusyThread
            // The number of threads at most doubles with each check.
            if threads == 0 || begun < begunWithoutDelay && !isBusy {
                grow(by: min(max(1, threads), waiting - idleThreads - startingThreads))
            }
            scheduleStallCheck()
        }
    }

    /// Starts threads.
    ///
    /// If the system rejects a thread, the next check tries again.
    private func grow(by count: Int) {
        if count <= 0 { return }
        // The new thread starts the rest, because the current thread may be the timer thread, which must not be
        // delayed.
        guard startThread({ [self] in runJobs(startingThreads: count - 1) }) else { return }
        threads += 1
        startingThreads += 1
    }

    private func runJobs(startingThreads count: Int) {
        monitor.lock()
        startingThreads -= 1
        if waiting > 1 { grow(by: count) }
        while true {
            if var job = nextJob() {
                monitor.unlock()
                job()
                // Releases the job without the lock, because freeing the captured values can run user code.
                job = {}
                monitor.lock()
            } else if !waitForJob() {
                break
            }
        }
        threads -= 1
        monitor.unlock()
    }

    /// Waits for a job.
    ///
    /// - Returns: `false` if the thread must end.
    private func waitForJob() -> Bool {
        if idleThreads >= Self.maxIdleThreads { return false }
        let end = continuousNanoseconds().saturatingAdd(Self.idleNanoseconds)
        idleThreads += 1
        monitor.wait(nanoseconds: Self.idleNanoseconds)
        idleThreads -= 1
        return waiting > 0 || continuousNanoseconds() < end
    }
}
