package import ReliabilityCore

/// A store with a timeout for each call and a circuit breaker.
///
/// The breaker opens after three failures in a row and admits a probe each second. A dead server therefore costs all
/// callers together three waits and one probe each second. The first answer of the store closes the breaker. For a
/// store that cannot stall, neither the timeout nor the breaker applies.
///
/// The caller's deadline shortens the wait. A call that the deadline ended counts as a failure only if the remaining
/// time was at least a tenth of the timeout. Callers close to their deadlines therefore do not open the breaker.
package final class GuardedStore<Store: Sendable>: Sendable {
    private let store: Store
    private let canStall: Bool
    private let timeout: Duration
    private let timeSource: TimeSource
    /// The sink for the first failure and, as `nil`, the recovery.
    private let changes: EventSink<StoreError?>
    private struct State {
        var isDown = false
        var breaker = StoreBreakerStateMachine(threshold: 3, interval: .seconds(1))
        /// The last answer if the answer was a permanent error.
        var permanentError: StoreError?
    }
    private let state = Lock(State())

    /// Creates a guarded store.
    ///
    /// - Parameters:
    ///   - store: The store.
    ///   - canStall: `true` if calls get the timeout and the breaker.
    ///   - timeout: The longest wait for a call, positive.
    ///   - timeSource: The time source of the timeout.
    ///   - events: The sink that receives the failures and recoveries of the store.
    package init(
        _ store: Store,
        canStall: Bool,
        timeout: Duration,
        timeSource: TimeSource,
        events: EventSink<some StoreObservedEvent>
    ) {
        self.store = store
        self.timeout = timeout
        self.timeSource = timeSource
        self.canStall = canStall
        changes = events.map { error in error.map { .storeDown($0) } ?? .storeRecovered }
    }

    /// Makes a call that reads.
    ///
    /// A timeout is `unavailable`.
    package func read<Success: Sendable>(
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        try await call(timeoutReason: .unavailable, operation)
    }

    /// Makes a call that writes.
    ///
    /// A timeout is an `unknownOutcome`.
    package func write<Success: Sendable>(
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        try await call(timeoutReason: .unknownOutcome, operation)
    }

    private func call<Success: Sendable>(
        timeoutReason: StoreError.Reason,
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        do throws(StoreError) {
            let success = try await callGuarded(timeoutReason: timeoutReason, operation)
            if changes.hasObserver { report(nil) }
            return success
        } catch {
            if changes.hasObserver { report(error) }
            throw error
        }
    }

    /// Reports that the store went down or recovered.
    private func report(_ error: StoreError?) {
        if let error {
            // A cancelled caller or a passed deadline is no evidence about the store.
            if CancellationCause.current == .caller || Deadline.current?.isExpired == true { return }
            if error.reason == .cancelled || error.reason == .invalid { return }
        }
        _ = state.withLock { state -> (any Sendable)? in
            if state.isDown == (error != nil) { return nil }
            state.isDown = error != nil
            // Under the lock, so that the two events alternate. The observer runs outside of the lock.
            return changes.emitUnderLock(error)
        }
    }

    private func callGuarded<Success: Sendable>(
        timeoutReason: StoreError.Reason,
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        guard canStall else { return try await operation(store) }
        let remaining = Deadline.current?.remaining ?? timeout
        if remaining <= .zero {
            throw StoreError(.unavailable, "the caller's deadline passed before the store was called")
        }
        let rejection = state.withLock { state -> StoreError? in
            // Read under the lock: the breaker takes a reading before the last failure for a clock that was set back.
            guard let wait = state.breaker.admit(now: timeSource.now) else { return nil }
            // A caller stops its attempts only after a permanent error such as `closed`.
            if let permanentError = state.permanentError { return permanentError }
            return StoreError(
                .unavailable,
                "the store was not called after failures in a row (next probe in \(Duration.nanoseconds(wait)))"
            )
        }
        if let rejection { throw rejection }
        let store = store
        let result: Result<Success, StoreError>? = await withinLimit(min(remaining, timeout), timeSource: timeSource) {
            do throws(StoreError) { return .success(try await operation(store)) } catch { return .failure(error) }
        }
        switch result {
        case .success(let success):
            record(.success)
            return success
        case .failure(let error):
            switch error.reason {
            case .unavailable, .unknownOutcome, .failed, .closed, .cancelled:
                let permanentError = error.isPermanent ? error : nil
                switch CancellationCause.current {
                case .none: record(error.reason == .cancelled ? .ignored : .failure, permanentError)
                case .deadline: record(outcome(within: remaining), permanentError)
                // An error after the caller's cancellation is no evidence about the store.
                case .caller: record(.ignored)
                }
            default: record(.success)
            }
            throw error
        case nil:
            record(outcome(within: remaining))
            let limit = remaining < timeout ? "\(remaining), the time to the caller's deadline" : "\(timeout)"
            throw StoreError(timeoutReason, "the store did not answer within \(limit)")
        }
    }

    /// Returns the outcome of a call without an answer in the remaining time.
    ///
    /// A very short time is no evidence about the store.
    private func outcome(within remaining: Duration) -> Outcome { remaining >= timeout / 10 ? .failure : .ignored }

    private func record(_ outcome: Outcome, _ permanentError: StoreError? = nil) {
        state.withLock { state in
            state.breaker.record(outcome, now: timeSource.now)
            if outcome != .ignored { state.permanentError = permanentError }
        }
    }
}
