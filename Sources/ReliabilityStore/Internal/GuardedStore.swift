package import ReliabilityCore

/// A store whose every call ends within a limit, and which is left alone for a second after three failures in a row.
///
/// So a dead server costs its callers three waits and not one each; it is asked again every second, and used again
/// after its first answer. No flag outlives the outage.
///
/// The deadline of the caller cuts the wait as well. A call that a deadline cut counts as a failure only if it had a tenth
/// of the limit: callers that are almost late do not keep others from the store.
package final class GuardedStore<Store: Sendable>: Sendable {
    private let store: Store
    private let canStall: Bool
    private let timeLimit: Duration
    private let timeSource: TimeSource
    private struct State {
        var gate = FailureGate(threshold: 3, interval: .seconds(1))
        /// The last answer, if it was an error that no later call mends.
        var lasting: StoreError?
    }
    private let state = Lock(State())

    /// Guards a store.
    package init(_ store: Store, timeLimit: Duration, timeSource: TimeSource) where Store == any KeyValueStore {
        self.store = store
        self.timeLimit = timeLimit
        self.timeSource = timeSource
        canStall = store.capabilities.canStall
    }

    /// Guards a record store.
    package init(_ store: Store, timeLimit: Duration, timeSource: TimeSource) where Store == any RecordStore {
        self.store = store
        self.timeLimit = timeLimit
        self.timeSource = timeSource
        canStall = store.capabilities.canStall
    }

    /// Reads: a call that takes too long is `unavailable`.
    package func read<Success: Sendable>(
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        try await call(whenLate: .unavailable, operation)
    }

    /// Writes: a call that takes too long has an `unknownOutcome`.
    package func write<Success: Sendable>(
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        try await call(whenLate: .unknownOutcome, operation)
    }

    private func call<Success: Sendable>(
        whenLate reason: StoreError.Reason,
        _ operation: @escaping @Sendable (Store) async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        guard canStall else { return try await operation(store) }
        let left = Deadline.current?.remaining ?? timeLimit
        if left <= .zero { throw StoreError(.unavailable, "not asked after the caller's deadline") }
        let refusal = state.withLock { state -> StoreError? in
            guard let wait = state.gate.admit(now: timeSource.now) else { return nil }
            // Whoever gives up on a store that is closed has to hear that it is.
            if let lasting = state.lasting { return lasting }
            return StoreError(
                .unavailable,
                "not asked for another \(Duration.nanoseconds(wait)) after failures in a row"
            )
        }
        if let refusal { throw refusal }
        let store = store
        let result: Result<Success, StoreError>? = await withinLimit(min(left, timeLimit), timeSource: timeSource) {
            do throws(StoreError) { return .success(try await operation(store)) } catch { return .failure(error) }
        }
        switch result {
        case .success(let success):
            record(.success)
            return success
        case .failure(let error):
            switch error.reason {
            case .unavailable, .unknownOutcome, .failed, .closed, .cancelled:
                let lasting = error.isLasting ? error : nil
                switch CancellationCause.current {
                case .none: record(error.reason == .cancelled ? .ignored : .failure, lasting)
                case .deadline: record(outcome(within: left), lasting)
                // What a store says because its caller left is no evidence against it.
                case .caller: record(.ignored)
                }
            default: record(.success)
            }
            throw error
        case nil:
            record(outcome(within: left))
            let limit = left < timeLimit ? "\(left), which the caller had left" : "\(timeLimit)"
            throw StoreError(reason, "no answer within \(limit)")
        }
    }

    /// The evidence of a store that did not answer in the time that the caller had left: very little time proves nothing.
    private func outcome(within left: Duration) -> Outcome { left >= timeLimit / 10 ? .failure : .ignored }

    private func record(_ outcome: Outcome, _ lasting: StoreError? = nil) {
        state.withLock { state in
            state.gate.record(outcome, now: timeSource.now)
            if outcome != .ignored { state.lasting = lasting }
        }
    }
}
