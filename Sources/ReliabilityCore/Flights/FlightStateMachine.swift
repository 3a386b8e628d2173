/// The waiting calls of a flight without clock and locks.
///
/// The owner resumes each `Waiter`.
struct FlightStateMachine<Waiter: Sendable>: Sendable {
    /// The phase of a flight.
    enum Phase: Hashable, Sendable {
        /// Calls can join.
        case running
        /// The flight has a result.
        case ended
        /// Every call has left before there was a result.
        case abandoned
    }

    private(set) var phase = Phase.running
    /// A Boolean value that indicates whether the flight continues without a waiting call.
    private let isHeld: Bool
    private var waiters: [Waiter?] = []
    private var free: [Int] = []

    init(isHeld: Bool) { self.isHeld = isHeld }

    var waiting: Int { waiters.count - free.count }

    /// Adds a call.
    ///
    /// - Returns: The ticket of the call, or `nil` if the flight is no longer running.
    mutating func join(_ waiter: Waiter) -> Int? {
        guard phase == .running else { return nil }
        let ticket = free.popLast() ?? waiters.count
        if ticket == waiters.count { waiters.append(waiter) } else { waiters[ticket] = waiter }
        return ticket
    }

    /// Removes a call.
    ///
    /// - Returns: `true` if the flight is abandoned from now on.
    mutating func leave(_ ticket: Int) -> Bool {
        guard phase == .running, waiters[ticket] != nil else { return false }
        waiters[ticket] = nil
        free.append(ticket)
        if isHeld || waiting > 0 { return false }
        phase = .abandoned
        return true
    }

    /// Ends the flight.
    ///
    /// - Returns: The calls that wait, or `nil` if the flight is no longer running.
    mutating func end() -> [Waiter]? {
        guard phase == .running else { return nil }
        phase = .ended
        defer { (waiters, free) = ([], []) }
        return waiters.compactMap { $0 }
    }
}
