/// The threads on which users' callbacks of one kind run.
///
/// They are neither the threads that tasks share nor the thread of the timers, so a callback that blocks delays no task
/// and no timer. It delays no other callback for long either: while turns are held up, the number of threads doubles
/// every two milliseconds. Only the operating system limits that number. A thread that has nothing to do ends.
final class CallbackPool: @unchecked Sendable {
    // @unchecked Sendable: everything mutable is read and written with `monitor` locked only.

    /// The process's threads for observers.
    static let observers = CallbackPool()
    /// The process's threads for the cancellation handlers of operations whose time is up.
    static let cancellations = CallbackPool()

    private static let maximumIdleThreads = 4
    private static let idleNanoseconds: Int64 = 10_000_000_000
    /// A thread that begins fewer turns than this between two checks is held up rather than busy: 100 µs a turn.
    private static let turnsOfBusyThread: UInt64 = 20

    private let startThread: @Sendable (@escaping @Sendable () -> Void) -> Bool
    private let monitor = ThreadMonitor()
    /// The turns that wait, from `next` on.
    private var turns: [(@Sendable () -> Void)?] = []
    private var next = 0
    private var threads = 0
    private var startingThreads = 0
    private var idleThreads = 0
    /// The number of turns that have begun.
    private var begun: UInt64 = 0
    /// The value of `begun` at the last check.
    private var begunAtCheck: UInt64 = 0
    /// The value of `begun` once every turn that waited at the last check has begun.
    private var begunWithoutDelay: UInt64 = 0
    private var isWatched = false

    /// Creates a pool without threads.
    ///
    /// - Parameter startThread: Starts a thread, or returns false when the system refuses one.
    init(startThread: @escaping @Sendable (@escaping @Sendable () -> Void) -> Bool = tryToStartThread) {
        self.startThread = startThread
    }

    /// The number of threads.
    var threadCount: Int {
        monitor.lock()
        defer { monitor.unlock() }
        return threads
    }

    /// Runs `turn` on one of the threads; turns begin in the order in which they came.
    func run(_ turn: @escaping @Sendable () -> Void) {
        monitor.lock()
        defer { monitor.unlock() }
        turns.append(turn)
        if threads == 0 { grow(by: 1) }
        if idleThreads > 0 { monitor.signal() }
        // A thread that is idle may have been woken for a turn before this one.
        if waiting > idleThreads + startingThreads { watch() }
    }

    // The rest is called with `monitor` locked.

    /// The number of turns that wait.
    private var waiting: Int { turns.count - next }

    private func takeTurn() -> (@Sendable () -> Void)? {
        guard waiting > 0 else { return nil }
        let turn = turns[next].take()
        next += 1
        if next == turns.count || next >= 1024, next * 2 >= turns.count {
            turns.removeFirst(next)
            next = 0
        }
        begun &+= 1
        return turn
    }

    /// Checks in two milliseconds whether the turns that wait are held up.
    private func watch() {
        if isWatched { return }
        isWatched = true
        begunAtCheck = begun
        begunWithoutDelay = begun &+ UInt64(waiting)
        let soon = TimeSource.continuous.instant(after: .milliseconds(2))
        _ = DeadlineScheduler.shared.schedule(at: soon) { [self] in
            monitor.lock()
            defer { monitor.unlock() }
            isWatched = false
            if waiting == 0 { return }
            let isBusy = begun &- begunAtCheck >= UInt64(threads) * Self.turnsOfBusyThread
            if threads == 0 || begun < begunWithoutDelay && !isBusy {
                grow(by: min(max(1, threads), waiting - idleThreads - startingThreads))
            }
            watch()
        }
    }

    /// Starts threads, unless the system refuses them; then the next check tries again.
    private func grow(by count: Int) {
        if count <= 0 { return }
        // The new thread starts the others: this may be the thread of the timers, which has no time for it.
        guard startThread({ [self] in runTurns(startingOthers: count - 1) }) else { return }
        threads += 1
        startingThreads += 1
    }

    private func runTurns(startingOthers others: Int) {
        monitor.lock()
        startingThreads -= 1
        if waiting > 1 { grow(by: others) }
        while true {
            if var turn = takeTurn() {
                monitor.unlock()
                turn()
                // Released before the lock is taken again: freeing what the turn captured is not our code.
                turn = {}
                monitor.lock()
            } else if !waitForTurn() {
                break
            }
        }
        threads -= 1
        monitor.unlock()
    }

    /// Waits for a turn; returns false when the thread is to end instead.
    private func waitForTurn() -> Bool {
        if idleThreads >= Self.maximumIdleThreads { return false }
        let end = continuousNanoseconds().saturatingAdd(Self.idleNanoseconds)
        idleThreads += 1
        monitor.wait(nanoseconds: Self.idleNanoseconds)
        idleThreads -= 1
        return waiting > 0 || continuousNanoseconds() < end
    }
}
