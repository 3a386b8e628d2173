internal import ReliabilityCore

/// The places of running loads, with a queue of loads in the order of their arrival.
final class LoadPlaces: Sendable {
    /// The end of a wait for a place.
    enum Admission: Sendable {
        case admitted
        /// The load uses the place of a load that waits for it.
        case shared
        /// The queue was full.
        case rejected
        /// The task was cancelled.
        case cancelled
    }

    /// The place of a load, or its wait for a place.
    final class Place: @unchecked Sendable {
        // @unchecked Sendable: the lock `LoadPlaces.state` protects the properties that change.
        fileprivate let key: any Sendable
        fileprivate var rendezvous = Rendezvous<Admission>()
        /// The ticket of the wait, or `nil` before the wait.
        fileprivate var ticket: UInt64?
        /// A Boolean value that indicates whether a load with a place waits for this load.
        fileprivate var isShared = false
        fileprivate var hasEnded = false

        init(_ key: any Sendable) { self.key = key }
    }

    /// A load around the current task.
    struct Occupant: Sendable {
        fileprivate let places: ObjectIdentifier
        fileprivate let place: Place
    }

    private struct State {
        var limit: Int
        var maxWaiting: Int
        var running = 0
        var waiters: [UInt64: Place] = [:]
        /// The tickets from the first that may wait to the next that is free.
        var tickets: Range<UInt64> = 0..<0

        /// Gives a place to the load that has waited for the longest time.
        mutating func admitNext() -> Rendezvous<Admission>.Resumption? {
            guard running < limit else { return nil }
            while !tickets.isEmpty, !waiters.isEmpty {
                let ticket = tickets.lowerBound
                tickets = ticket + 1..<tickets.upperBound
                guard let waiter = waiters.removeValue(forKey: ticket) else { continue }
                running += 1
                return waiter.rendezvous.resolve(.admitted)
            }
            tickets = tickets.upperBound..<tickets.upperBound
            return nil
        }
    }

    /// The loads around the current task, from the outermost to the innermost.
    ///
    /// A load for which another load waits shares its place. Otherwise, loads that wait for each other could occupy all
    /// places. A task that outlives its load shares no place.
    @TaskLocal static var occupants: [Occupant] = []

    private let state: Lock<State>

    init(_ configuration: CacheConfiguration) {
        state = Lock(State(limit: configuration.maxConcurrentLoads, maxWaiting: configuration.maxWaitingLoads))
    }

    /// The numbers of running and waiting loads.
    var counts: (running: Int, waiting: Int) { state.withLock { ($0.running, $0.waiters.count) } }

    /// Returns an element for ``occupants``.
    func occupant(_ place: Place) -> Occupant { Occupant(places: ObjectIdentifier(self), place: place) }

    /// Returns whether the current task is part of a running load.
    ///
    /// - Parameter matches: Returns whether the load has a key. The closure runs outside of the lock.
    /// - Returns: `true` if there is such a load.
    func isInside(_ matches: (any Sendable) -> Bool) -> Bool {
        Self.occupants.contains { isRunning($0) && matches($0.place.key) }
    }

    private func isRunning(_ occupant: Occupant) -> Bool {
        occupant.places == ObjectIdentifier(self) && state.withLock { _ in !occupant.place.hasEnded }
    }

    /// Waits for a place.
    ///
    /// - Parameters:
    ///   - place: The place of the load.
    ///   - outer: The loads that wait for the load.
    /// - Returns: The end of the wait.
    func enter(_ place: Place, inside outer: [Occupant]) async -> Admission {
        if outer.contains(where: isRunning) { return .shared }
        let (admission, ticket) = state.withLock { state -> (Admission?, UInt64) in
            if place.isShared { return (.shared, 0) }
            if state.running < state.limit, state.waiters.isEmpty {
                state.running += 1
                return (.admitted, 0)
            }
            if state.waiters.count >= state.maxWaiting { return (.rejected, 0) }
            let ticket = state.tickets.upperBound
            state.waiters[ticket] = place
            place.ticket = ticket
            state.tickets = state.tickets.lowerBound..<ticket + 1
            return (nil, ticket)
        }
        if let admission { return admission }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { _ in place.rendezvous.wait(continuation) }?.resume()
            }
        } onCancel: {
            let resumption = state.withLock { state in
                state.waiters.removeValue(forKey: ticket)?.rendezvous.resolve(.cancelled)
            }
            resumption?.resume()
        }
    }

    /// Lets a load run in the place of the current load, which waits for it.
    func share(_ place: Place) {
        guard isInside({ _ in true }) else { return }
        let resumption = state.withLock { state -> Rendezvous<Admission>.Resumption? in
            // The load may not wait for its place yet.
            place.isShared = true
            guard let ticket = place.ticket else { return nil }
            return state.waiters.removeValue(forKey: ticket)?.rendezvous.resolve(.shared)
        }
        resumption?.resume()
    }

    /// Releases a place.
    func leave(_ place: Place, _ admission: Admission) {
        let resumption = state.withLock { state -> Rendezvous<Admission>.Resumption? in
            place.hasEnded = true
            guard case .admitted = admission else { return nil }
            state.running -= 1
            return state.admitNext()
        }
        resumption?.resume()
    }

    /// Changes the limits.
    func reload(_ configuration: CacheConfiguration) {
        state.withLock {
            $0.limit = configuration.maxConcurrentLoads
            $0.maxWaiting = configuration.maxWaitingLoads
        }
        while let resumption = state.withLock({ $0.admitNext() }) { resumption.resume() }
    }
}
