/// The waits of flights for other flights in this process.
///
/// Only a wait inside of the work of a flight enters the graph.
enum FlightGraph {
    /// The flight whose work the current task is part of, or `nil` if there is none.
    @TaskLocal static var current: Flight?

    /// The number of waits of each flight for each other flight.
    private static let waits = Lock<[ObjectIdentifier: [ObjectIdentifier: Int]]>([:])

    /// Adds a wait.
    ///
    /// - Returns: `false` if `flight` already waits for `other`, directly or through other flights. Nothing is added.
    static func addWait(of other: Flight, for flight: Flight) -> Bool {
        // A task that outlives its flight delays no call of the flight.
        if other.hasEnded { return true }
        let (other, flight) = (ObjectIdentifier(other), ObjectIdentifier(flight))
        return waits.withLock { waits in
            var reached: Set = [flight]
            var open = [flight]
            while let next = open.popLast() {
                if next == other { return false }
                for target in waits[next, default: [:]].keys where reached.insert(target).inserted {
                    open.append(target)
                }
            }
            waits[other, default: [:]][flight, default: 0] += 1
            return true
        }
    }

    /// Removes a wait, if there is one.
    static func removeWait(of other: Flight, for flight: Flight) {
        let (other, flight) = (ObjectIdentifier(other), ObjectIdentifier(flight))
        waits.withLock { waits in
            guard let count = waits[other]?[flight] else { return }
            waits[other]?[flight] = count > 1 ? count - 1 : nil
            if waits[other]?.isEmpty == true { waits[other] = nil }
        }
    }
}
