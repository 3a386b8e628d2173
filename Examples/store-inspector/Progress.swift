import ReliabilityCore

/// A line of progress on standard error, for work that takes longer than a second.
final class Progress: Sendable {
    private let console: Console
    private let label: String
    private let state: Lock<(next: ContinuousClock.Instant, isShown: Bool)>

    init(_ console: Console, _ label: String) {
        self.console = console
        self.label = label
        state = Lock((.now + .seconds(1), false))
    }

    /// Shows the part of the work that is done, at most once a second.
    func show(_ done: Int64, of total: Int64) {
        guard console.isTerminal, total > 0 else { return }
        show("\(100 * min(done, total) / total) % of \(byteText(total))")
    }

    private func show(_ text: String) {
        let isDue = state.withLock { state in
            let now = ContinuousClock.now
            if now < state.next { return false }
            state = (now + .seconds(1), true)
            return true
        }
        if isDue { console.error("\r\u{1B}[2K\(label): \(text)") }
    }

    /// Runs work without a known length and shows the elapsed seconds meanwhile.
    func whileRunning<Result: Sendable>(_ work: () async throws -> Result) async rethrows -> Result {
        let ticker = Task { [self] in
            let start = ContinuousClock.now
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                if console.isTerminal, !Task.isCancelled {
                    show("\((ContinuousClock.now - start).components.seconds) s")
                }
            }
        }
        defer {
            ticker.cancel()
            end()
        }
        return try await work()
    }

    /// Removes the line.
    func end() {
        let isShown = state.withLock { state in
            defer { state.isShown = false }
            return state.isShown
        }
        if isShown { console.error("\r\u{1B}[2K") }
    }
}
