/// A thread on which the user's callbacks of one kind run.
///
/// It is none of the few that tasks share, nor that of the timers: one that blocks delays others of its kind, and nothing
/// else.
final class CallbackThread: @unchecked Sendable {
    // @unchecked Sendable: everything mutable is read and written with `monitor` locked only.

    /// The process's thread for observers.
    static let observers = CallbackThread()
    /// The process's thread for the cancellation handlers of what ran out of time.
    static let cancellations = CallbackThread()

    private let monitor = ThreadMonitor()
    private var turns: [@Sendable () -> Void] = []
    private var isStarted = false

    /// Runs `turn` after those that wait.
    func run(_ turn: @escaping @Sendable () -> Void) {
        monitor.lock()
        defer { monitor.unlock() }
        turns.append(turn)
        if isStarted {
            monitor.signal()
        } else {
            isStarted = true
            startThread { [self] in runTurns() }
        }
    }

    private func runTurns() {
        while true {
            monitor.lock()
            while turns.isEmpty { monitor.wait(nanoseconds: nil) }
            let next = turns
            turns = []
            monitor.unlock()
            for turn in next { turn() }
        }
    }
}
