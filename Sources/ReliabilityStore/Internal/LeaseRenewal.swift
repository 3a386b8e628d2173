package import ReliabilityCore

/// The renewal of a lease after each third of its length, until the renewal is stopped or the lease is lost.
///
/// Between two renewals, only a timer exists and no task.
package final class LeaseRenewal: Sendable {
    private struct State {
        var timer: TimeSource.Timer?
        var isStopped = false
    }

    private let interval: Duration
    private let timeSource: TimeSource
    private let renew: @Sendable () async throws(StoreError) -> Bool
    private let state = Lock(State())

    /// Starts the renewal of a lease that begins now.
    ///
    /// - Parameters:
    ///   - lease: The length of the lease.
    ///   - timeSource: The time source of the lease.
    ///   - renew: Extends the lease by its length. Returns `false` if the lease is lost. After an error, the closure is
    ///     called again after one second or after a third of a lease shorter than three seconds.
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

    /// Stops the renewal and cancels its timer.
    ///
    /// A running call of `renew` is not interrupted.
    package func stop() {
        let timer = state.withLock { state in
            state.isStopped = true
            return state.timer.take()
        }
        timer?.cancel()
    }

    private func schedule(after wait: Duration) {
        let timer = timeSource.timer(at: timeSource.instant(after: wait)) { [self] in start() }
        let isStopped = state.withLock { state in
            if !state.isStopped { state.timer = timer }
            return state.isStopped
        }
        if isStopped { timer.cancel() }
    }

    /// Renews the lease in a task, because the action of a timer must be short.
    private func start() {
        Task(executorPreference: timeSource.taskExecutor) { @concurrent [self] in
            // The task that advanced a manual clock may have a deadline, which does not apply to the renewal.
            await withoutCallContext {
                if state.withLock({ $0.isStopped }) { return }
                do throws(StoreError) {
                    if try await renew() { schedule(after: interval) } else { stop() }
                } catch {
                    // The store may recover before the lease ends.
                    schedule(after: min(interval, .seconds(1)))
                }
            }
        }
    }
}
