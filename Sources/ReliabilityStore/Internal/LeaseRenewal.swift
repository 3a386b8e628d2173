package import ReliabilityCore

/// The renewal of a lease at a third of its length, until it is stopped or the lease is lost.
///
/// Between two renewals there is a timer and no task.
package final class LeaseRenewal: Sendable {
    private struct State {
        var timer: TimeSource.Timer?
        var isOver = false
    }

    private let interval: Duration
    private let timeSource: TimeSource
    private let renew: @Sendable () async throws(StoreError) -> Bool
    private let state = Lock(State())

    /// Starts the renewal of a lease that has just begun.
    ///
    /// - Parameters:
    ///   - lease: The length of the lease.
    ///   - timeSource: Measures it.
    ///   - renew: Prolongs the lease by its length. It returns whether the lease is still held; when it throws, it is
    ///     called again after a second, or after a third of a shorter lease.
    package init(
        _ lease: Duration,
        timeSource: TimeSource,
        renew: @escaping @Sendable () async throws(StoreError) -> Bool
    ) {
        interval = max(lease / 3, .milliseconds(1))
        self.timeSource = timeSource
        self.renew = renew
        schedule(after: interval)
    }

    /// Stops the renewal and frees what it holds.
    ///
    /// A renewal may be under way.
    package func stop() {
        let timer = state.withLock { state in
            state.isOver = true
            return state.timer.take()
        }
        timer?.cancel()
    }

    private func schedule(after wait: Duration) {
        let timer = timeSource.timer(at: timeSource.instant(after: wait)) { [self] in start() }
        let isOver = state.withLock { state in
            if !state.isOver { state.timer = timer }
            return state.isOver
        }
        if isOver { timer.cancel() }
    }

    /// Renews in a task, because a timer's action has to be short.
    private func start() {
        Task(executorPreference: timeSource.taskExecutor) { @concurrent [self] in
            // Whoever moved the clock may have a deadline of its own.
            await withoutCallContext {
                if state.withLock({ $0.isOver }) { return }
                do throws(StoreError) {
                    if try await renew() { schedule(after: interval) } else { stop() }
                } catch {
                    // The store may be back before the lease ends.
                    schedule(after: min(interval, .seconds(1)))
                }
            }
        }
    }
}
