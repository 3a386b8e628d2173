/// Where the user's callbacks of one kind run.
///
/// It is none of the few threads that tasks share, nor that of the timers: a callback that blocks delays others of its
/// kind, and nothing else. Where their order does not matter, not even these for long: behind one that takes longer than
/// 10 ms another thread is started.
final class CallbackThread: @unchecked Sendable {
    // @unchecked Sendable: everything mutable is read and written with `monitor` locked only.

    /// The process's thread for observers, one for all, which keeps their order.
    static let observers = CallbackThread(maximumThreads: 1)
    /// The process's threads for the cancellation handlers of what ran out of time.
    static let cancellations = CallbackThread(maximumThreads: 16)

    private let maximumThreads: Int
    private let monitor = ThreadMonitor()
    /// Those that wait, from `next` on.
    private var turns: [(@Sendable () -> Void)?] = []
    private var next = 0
    private var threads = 0
    private var idleThreads = 0
    /// How many turns have begun.
    private var begun: UInt64 = 0
    private var isWatched = false

    private init(maximumThreads: Int) { self.maximumThreads = maximumThreads }

    /// Runs `turn` after those that wait.
    func run(_ turn: @escaping @Sendable () -> Void) {
        monitor.lock()
        defer { monitor.unlock() }
        turns.append(turn)
        if threads == 0 {
            threads = 1
            startThread { [self] in runTurns() }
        } else {
            if idleThreads > 0 { monitor.signal() }
            // One that is idle may have been woken for a turn before this one.
            if turns.count - next > idleThreads { watch() }
        }
    }

    /// The first of those that wait, with `monitor` locked.
    private func takeTurn() -> (@Sendable () -> Void)? {
        guard next < turns.count else { return nil }
        let turn = turns[next].take()
        next += 1
        if next == turns.count || next >= 1024, next * 2 >= turns.count {
            turns.removeFirst(next)
            next = 0
        }
        return turn
    }

    /// Looks again in 10 ms whether the turns that wait are held up; with `monitor` locked.
    private func watch() {
        if isWatched || threads >= maximumThreads { return }
        isWatched = true
        let before = begun
        let soon = TimeSource.continuous.instant(after: .milliseconds(10))
        _ = DeadlineScheduler.shared.schedule(at: soon) { [self] in
            monitor.lock()
            defer { monitor.unlock() }
            isWatched = false
            if next == turns.count { return }
            if begun == before, tryToStartThread({ [self] in runTurns() }) { threads += 1 }
            watch()
        }
    }

    private func runTurns() {
        monitor.lock()
        while true {
            var turn = takeTurn()
            if turn == nil {
                idleThreads += 1
                monitor.wait(nanoseconds: nil)
                idleThreads -= 1
                continue
            }
            begun &+= 1
            monitor.unlock()
            turn?()
            // Released before the lock is taken again: freeing what the turn captured is not our code.
            turn = nil
            monitor.lock()
        }
    }
}
