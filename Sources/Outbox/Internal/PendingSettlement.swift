internal import ReliabilityCore
internal import ReliabilityStore

/// The outcome of a delivery until the outcome is stored.
///
/// The timer ends the delivery's wait for the store. The outcome stays pending afterwards.
final class PendingSettlement: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: the properties of this class do not change or are protected by a lock.
    private struct State {
        /// The action at the end of the wait, or `nil` after the end.
        var waitEnded: (@Sendable () -> Void)?
        var mayHaveHappened = false
    }

    private let activeClaim: ActiveClaim
    private let action: Settlement.Action
    private let ended: @Sendable (Result<Bool, StoreError>) -> Void
    private let state: Lock<State>

    /// Creates a pending settlement.
    ///
    /// - Parameters:
    ///   - activeClaim: The claim of the message.
    ///   - action: The change of the record.
    ///   - ended: Receives the final result exactly once: `false` if the lease was lost, or a permanent error.
    ///   - waitEnded: Called once, after `ended` or at the end of the wait.
    init(
        _ activeClaim: ActiveClaim,
        _ action: Settlement.Action,
        ended: @escaping @Sendable (Result<Bool, StoreError>) -> Void,
        waitEnded: @escaping @Sendable () -> Void
    ) {
        self.activeClaim = activeClaim
        self.action = action
        self.ended = ended
        state = Lock(State(waitEnded: waitEnded))
        super.init()
    }

    /// The settlement under the newest token.
    var settlement: Settlement { activeClaim.settlement(action) }

    /// The newest token of the claim.
    var token: StoreVersion { activeClaim.claim.token }

    /// Ends the delivery's wait for the store.
    override func fire() { state.withLock { $0.waitEnded.take() }?() }

    /// A Boolean value that indicates whether a call of unknown outcome may have settled the claim.
    ///
    /// A later stale token then means that the call succeeded.
    var mayHaveHappened: Bool { state.withLock { $0.mayHaveHappened } }

    /// Records a call of unknown outcome.
    func recordUnknownOutcome() { state.withLock { $0.mayHaveHappened = true } }

    /// Reports the final result and ends the wait.
    func end(_ result: Result<Bool, StoreError>) {
        ended(result)
        fire()
    }
}
