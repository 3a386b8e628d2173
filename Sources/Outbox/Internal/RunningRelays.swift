internal import ReliabilityCore
internal import ReliabilityStore

/// The relays of a queue that run in this process: whoever sends a message wakes them, and each knows what the others
/// deliver.
final class RunningRelays: Sendable {
    private struct State {
        var next: UInt64 = 0
        var wake: [UInt64: @Sendable () -> Void] = [:]
        /// The deliveries that are not settled yet, by the bytes of their messages' identities.
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
            state.wake[state.next] = wake
            return state.next
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.wake[number] = nil } }

    func wake() {
        let relays = state.withLock { Array($0.wake.values) }
        for wake in relays { wake() }
    }

    // MARK: Deliveries

    /// Whether a relay asks for messages, which may hand out one again that this process delivers.
    var isClaiming: Bool { state.withLock { $0.claiming > 0 } }

    /// A relay asks for messages.
    func beginClaim() { state.withLock { $0.claiming += 1 } }

    /// It has got them, and those that are under way are adopted.
    func endClaim() { state.withLock { $0.claiming -= 1 } }

    /// Adds the holder of a message's claim.
    func add(_ holder: ClaimHolder) {
        let id = Array(holder.claim.id.utf8)
        state.withLock { $0.holders[id] = holder }
    }

    /// Removes the holder of a claim that is settled, lost or abandoned.
    func remove(_ holder: ClaimHolder) {
        let id = Array(holder.claim.id.utf8)
        state.withLock { if $0.holders[id] === holder { $0.holders[id] = nil } }
    }

    /// Hands a claim to the delivery of the same message that is under way in this process, if there is one.
    ///
    /// A process that stood still for longer than a lease, or whose store was down for so long, gets messages again that
    /// it is delivering, or has delivered and not settled. They are not delivered twice: the delivery goes on under the new
    /// claim.
    ///
    /// - Parameter claim: What the store handed out.
    /// - Returns: Whether there is such a delivery.
    func adopt(_ claim: RecordClaim) -> Bool {
        guard let holder = state.withLock({ $0.holders[Array(claim.id.utf8)] }) else { return false }
        holder.adopt(claim)
        return true
    }
}

/// The claim of a message that is being delivered or settled.
final class ClaimHolder: Sendable {
    private let state: Lock<RecordClaim>

    /// Holds a claim.
    init(_ claim: RecordClaim) { state = Lock(claim) }

    /// The claim, as it is now.
    var claim: RecordClaim { state.withLock { $0 } }

    /// Takes over the token of a later claim; the delivery stays the one that it is.
    func adopt(_ later: RecordClaim) {
        state.withLock { claim in
            guard later.token > claim.token else { return }
            claim = RecordClaim(
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
