internal import ReliabilityCore

/// The places of running loads, with a queue of loads in the order of their arrival.
final class LoadPlaces: Sendable {
    /// The end of a wait for a place.
    enum Admission: Sendable {
        case admitted
        /// The queue was full.
        case rejected
        /// The task was cancelled.
        case cancelled
    }

    private final class Waiter: @unchecked Sendable {
        // @unchecked Sendable: the lock of the places protects the property.
        var rendezvous = Rendezvous<Admission>()
    }

    private struct State {
        var limit: Int
        var maxWaiting: Int
        var running = 0
        var waiters: [UInt64: Waiter] = [:]
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

    /// The places that the loads around the current task occupy.
    ///
    /// A load inside of another load shares its place. Otherwise, loads that wait for each other could occupy all places.
    @TaskLocal static var occupied: [ObjectIdentifier] = []

    private let state: Lock<State>

    init(_ configuration: CacheConfiguration) {
        state = Lock(State(limit: configuration.maxConcurrentLoads, maxWaiting: configuration.maxWaitingLoads))
    }

    /// The numbers of running and waiting loads.
    var counts: (running: Int, waiting: Int) { state.withLock { ($0.running, $0.waiters.count) } }

    /// Waits for a place.
    func enter() async -> Admission {
        let waiter = Waiter()
        let (admission, ticket) = state.withLock { state -> (Admission?, UInt64) in
            if state.running < state.limit, state.waiters.isEmpty {
                state.running += 1
                return (.admitted, 0)
            }
            if state.waiters.count >= state.maxWaiting { return (.rejected, 0) }
            let ticket = state.tickets.upperBound
            state.waiters[ticket] = waiter
            state.tickets = state.tickets.lowerBound..<ticket + 1
            return (nil, ticket)
        }
        if let admission { return admission }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { _ in waiter.rendezvous.wait(continuation) }?.resume()
            }
        } onCancel: {
            let resumption = state.withLock { state in
                state.waiters.removeValue(forKey: ticket)?.rendezvous.resolve(.cancelled)
            }
            resumption?.resume()
        }
    }

    /// Releases a place.
    func leave() {
        let resumption = state.withLock { state in
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
