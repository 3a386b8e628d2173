internal import ReliabilityCore

extension ManualClock {
    final class Waiter: Sendable {
        let count: Int
        let rendezvous = Lock(Rendezvous<Void>())

        init(count: Int) { self.count = count }

        /// Stores the continuation, or resumes the task and returns `false` if the wait is already over.
        func start(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
            let resumption = rendezvous.withLock { $0.wait(continuation) }
            resumption?.resume()
            return resumption == nil
        }

        func finish() { rendezvous.withLock { $0.resolve(()) }?.resume() }
    }

    struct State: ~Copyable {
        var now: Int64 = 0
        var wheel = DeadlineWheel(at: 0)
        /// The number of calls that currently run due entries.
        var runners = 0
        /// The number of runners that moved the clock.
        var movers = 0
        var waiters: [Waiter] = []
        /// The number of tasks that the clock woke and that have not resumed yet.
        var woken = 0
        /// The number of sleepers at the last move of the clock, or `nil` if the clock never moved.
        var sleepersAtLastMove: Int?
        /// The number of events on the clock.
        ///
        /// The watchdog reads this number.
        var activity: UInt64 = 0
        var isWatched = false

        /// Removes and returns the first due entry, or returns `nil` if no entry is due.
        mutating func nextDue() -> TimerEntry? {
            while true {
                switch wheel.next(at: now) {
                case .due(let entry): return entry
                case .later: return nil
                case .unfinished: continue
                }
            }
        }

        /// Returns the reason why the last move was not allowed, or `nil` if the move was allowed.
        mutating func rejection() -> String? {
            // Checked before an entry runs: an entry may change the set of due entries, and the time of that change
            // depends on the scheduling of threads.
            var due: [TimerEntry] = []
            while let entry = nextDue() { due.append(entry) }
            guard let first = due.first?.armedInstant, let last = due.last?.armedInstant else { return nil }
            for entry in due { wheel.insert(entry, at: entry.armedInstant) }
            func text(_ instant: Int64) -> String { Duration.nanoseconds(instant).text }
            if movers == 0, woken > 0 {
                return """
                    the clock was moved to the sleepers at \(text(first)) before \(woken) task(s) woken earlier had \
                    resumed. Await the effect of the woken tasks first, or use a Simulation
                    """
            }
            if first == last { return nil }
            return """
                the clock was moved to \(text(now)), past sleepers at \(text(first)) and at \(text(last)). Work \
                started at the first instant must run before the last. Stop at each instant, or use a Simulation
                """
        }

        mutating func removeSatisfiedWaiters() -> [Waiter] {
            if waiters.isEmpty || woken > 0 { return [] }
            let count = wheel.count
            let satisfied = waiters.filter { $0.count <= count }
            waiters.removeAll { $0.count <= count }
            return satisfied
        }

        /// Returns the diagnosis of a hanging test, or `nil` if there is no waiter and no sleeper.
        mutating func report(_ maxWait: Duration) -> String? {
            let asleep = "\(wheel.count) task(s) and timer(s) sleep on the clock"
            if let wanted = waiters.map(\.count).min() {
                return "ManualClock: a test has waited for \(wanted) sleeper(s) for \(maxWait.text); \(asleep)\n"
            }
            guard let next = wheel.earliest() else { return nil }
            let wait = Duration.nanoseconds(next.saturatingSubtract(now)).text
            var text = "ManualClock: no activity for \(maxWait.text); \(asleep), the first for another \(wait)"
            if sleepersAtLastMove == 0 {
                text += ". The clock was moved before they slept: use `await clock.advance(by:whenSleeping:)`"
            }
            return text + "\n"
        }
    }
}
