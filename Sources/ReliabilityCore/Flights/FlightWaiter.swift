/// A call that waits for a flight, which is also the timer of the call's deadline.
package final class FlightWaiter: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: the lock `Flight.state` of `flight` protects the properties that change.
    private let flight: Flight
    var rendezvous = Rendezvous<Flight.End>()
    /// The place in the flight, or `nil` if the wait has ended.
    var ticket: Int?

    init(_ flight: Flight) {
        self.flight = flight
        super.init()
    }

    override package func fire() { flight.expire(self) }
}
