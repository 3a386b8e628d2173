/// The one thread on which observers run.
///
/// It is none of the few that tasks share: an observer that blocks delays other observers, and no task.
final class ObserverThread: @unchecked Sendable {
    // @unchecked Sendable: everything mutable is read and written with `monitor` locked only.

    /// The process's thread.
    static let shared = ObserverThread()

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
