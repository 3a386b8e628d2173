internal import ReliabilityCore
internal import ReliabilityStore

/// The relays of a queue that run in this process: whoever sends a message wakes them, and each knows what the others
/// deliver.
final class RunningRelays: Sendable {
    private struct State {
        var next: UInt64 = 0
        /// In the order in which the relays began, so that a simulation of one seed is one run.
        var wake: [(number: UInt64, wake: @Sendable () -> Void)] = []
        /// The claims that are not settled yet, by the bytes of their messages' identities.
        var holders: [[UInt8]: ClaimHolder] = [:]
        /// How many relays ask for messages at present.
        var claiming = 0
    }
    private let state = Lock(State())

    /// Adds a relay.
    ///
    /// - Parameter wake: Wakes it.
    /// - Returns: A number to remove it with.
    func add(_ wake: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.next += 1
            state.wake.append((state.next, wake))
            return state.next
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.wake.removeAll { $0.number == number } } }

    func wake() {
        for relay in state.withLock({ $0.wake }) { relay.wake() }
    }

    // MARK: Deliveries

    /// Whether a relay asks for messages, which may hand out one again that this process delivers.
    var isClaiming: Bool { state.withLock { $0.claiming > 0 } }

    /// A relay asks for messages.
    func beginClaim() { state.withLock { $0.claiming += 1 } }

    /// It has got them, and those that are under way are adopted.
    func endClaim() { state.withLock { $0.claiming -= 1 } }

    /// The holder of a claim that this process has taken.
    func holder(of claim: RecordClaim) -> ClaimHolder {
        state.withLock { $0.holders[Array(claim.id.utf8)] } ?? ClaimHolder(claim)
    }

    /// Removes the holder of a claim that is settled, lost or abandoned.
    func remove(_ holder: ClaimHolder) {
        let id = Array(holder.claim.id.utf8)
        state.withLock { if $0.holders[id] === holder { $0.holders[id] = nil } }
    }

    /// Takes a claim, or hands it to the delivery of the same message for which this process has a claim already.
    ///
    /// A process that stood still for longer than a lease, or whose store was down for so long, gets messages again that
    /// it is about to deliver, is delivering, or has delivered and not settled. They are not delivered twice: the delivery
    /// goes on under the new claim.
    ///
    /// - Parameter claim: What the store handed out.
    /// - Returns: Whether the claim is to be delivered.
    func take(_ claim: RecordClaim) -> Bool {
        let id = Array(claim.id.utf8)
        let holder = state.withLock { state -> ClaimHolder? in
            if let holder = state.holders[id] { return holder }
            state.holders[id] = ClaimHolder(claim)
            return nil
        }
        holder?.adopt(claim)
        return holder == nil
    }
}

/// The claim of a message that is being delivered or settled.
final class ClaimHolder: Sendable {
    private let state: Lock<(claim: RecordClaim, isAdopted: Bool)>

    /// Holds a claim.
    init(_ claim: RecordClaim) { state = Lock((claim, false)) }

    /// The claim, as it is now.
    var claim: RecordClaim { state.withLock { $0.claim } }

    /// The settlement of the claim as it is now.
    ///
    /// The store has counted an attempt for a later claim that was adopted, and there was no delivery for that. A second
    /// one in the same delivery stays counted.
    func settlement(_ action: Settlement.Action) -> Settlement {
        state.withLock { state in
            if state.isAdopted, case .retry(let wait, true) = action {
                return Settlement(state.claim, .retry(after: wait, countsAttempt: false))
            }
            return Settlement(state.claim, action)
        }
    }

    /// Takes over the token of a later claim; the delivery stays the one that it is.
    func adopt(_ later: RecordClaim) {
        state.withLock { state in
            let claim = state.claim
            guard later.token > claim.token else { return }
            state.isAdopted = true
            state.claim = RecordClaim(
                queue: claim.queue,
                id: claim.id,
                payload: claim.payload,
                attempt: claim.attempt,
                token: later.token,
                wasAbandoned: claim.wasAbandoned
            )
        }
    }
}
