internal import ReliabilityCore

/// A call that waits for a place, which is also the timer of its longest wait.
final class BulkheadWaiter: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: the lock of `places` protects the properties that change.
    typealias State = BulkheadStateMachine<BulkheadWaiter>

    /// The end of a wait.
    enum End: Sendable {
        case verdict(State.Verdict)
        /// The caller was cancelled.
        case cancelled
    }

    private let places: BulkheadPlaces
    var rendezvous = Rendezvous<End>()
    /// The place in the queue, or `nil` if the call has none.
    var ticket: State.Ticket?

    init(_ places: BulkheadPlaces) {
        self.places = places
        super.init()
    }

    override func fire() { places.expire(self) }
}
