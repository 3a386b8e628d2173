internal import ReliabilityCore
internal import ReliabilityStore

/// The claims of the messages that relays of a queue value deliver or settle in this process.
final class ActiveClaims: Sendable {
    private struct State {
        /// The unsettled claims, by the bytes of the messages' identities.
        var claims: [[UInt8]: ActiveClaim] = [:]
        /// The number of relays that are requesting messages.
        var requests = 0
    }
    private let state = Lock(State())

    /// A Boolean value that indicates whether a relay is requesting messages.
    ///
    /// The request may claim a message again that this process delivers.
    var isRequesting: Bool { state.withLock { $0.requests > 0 } }

    /// Records the start of a request.
    func beginRequest() { state.withLock { $0.requests += 1 } }

    /// Records the end of a request after its claims were registered.
    func endRequest() { state.withLock { $0.requests -= 1 } }

    /// Returns the active claim of a message that this process has claimed.
    func activeClaim(for claim: RecordClaim) -> ActiveClaim {
        state.withLock { $0.claims[Array(claim.id.utf8)] } ?? ActiveClaim(claim)
    }

    /// Removes a claim that is settled, lost or abandoned.
    func remove(_ activeClaim: ActiveClaim) {
        let id = Array(activeClaim.claim.id.utf8)
        state.withLock { if $0.claims[id] === activeClaim { $0.claims[id] = nil } }
    }

    /// Registers a claim or passes its token to the delivery of the same message in this process.
    ///
    /// After a suspension or an outage of the store that exceeds a lease, a process claims messages again that it
    /// delivers or has not yet settled. Such a message is not delivered twice. The delivery continues under the newer
    /// claim.
    ///
    /// - Parameter claim: The claim.
    /// - Returns: `true` if the claim is to be delivered.
    func register(_ claim: RecordClaim) -> Bool {
        let id = Array(claim.id.utf8)
        let active = state.withLock { state -> ActiveClaim? in
            if let active = state.claims[id] { return active }
            state.claims[id] = ActiveClaim(claim)
            return nil
        }
        active?.update(to: claim)
        return active == nil
    }
}

/// The claim of a message that is being delivered or settled, with its newest token.
final class ActiveClaim: Sendable {
    private let state: Lock<(claim: RecordClaim, isUpdated: Bool)>

    /// Creates an active claim.
    init(_ claim: RecordClaim) { state = Lock((claim, false)) }

    /// The claim with its newest token.
    var claim: RecordClaim { state.withLock { $0.claim } }

    /// Returns the settlement under the newest token.
    ///
    /// The store has counted an attempt for the newer claim, although no delivery began. The settlement does not count
    /// that attempt. A third claim in the same delivery stays counted.
    func settlement(_ action: Settlement.Action) -> Settlement {
        state.withLock { state in
            if state.isUpdated, case .retry(let wait, true) = action {
                return Settlement(state.claim, .retry(after: wait, countsAttempt: false))
            }
            return Settlement(state.claim, action)
        }
    }

    /// Takes over the token of a newer claim and leaves the rest of the claim unchanged.
    func update(to newer: RecordClaim) {
        state.withLock { state in
            let claim = state.claim
            guard newer.token > claim.token else { return }
            state.isUpdated = true
            state.claim = RecordClaim(
                queue: claim.queue,
                id: claim.id,
                payload: claim.payload,
                attempt: claim.attempt,
                token: newer.token,
                wasAbandoned: claim.wasAbandoned
            )
        }
    }
}
