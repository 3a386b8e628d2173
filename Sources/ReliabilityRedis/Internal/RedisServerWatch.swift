internal import ReliabilityCore
internal import ReliabilityStore

/// Compares the facts about a server with the promises of the store and with earlier facts.
final class RedisServerWatch: Sendable {
    private struct State {
        var facts: RedisServerFacts?
        /// The durability that the store promises, or `nil` before the first facts.
        var promised: StoreCapabilities.Durability?
        /// The number of checks since all facts were read.
        var checks = 0
        var hasBrokenPromise = false
    }

    /// The number of checks of which one reads all facts.
    ///
    /// The others read what changes in a failover.
    private static let checksPerFacts = 8

    private let server: RedisServerCheck
    private let events: EventSink<StoreConnectionEvent>
    private let state: Lock<State>

    init(_ server: RedisServerCheck, events: EventSink<StoreConnectionEvent>) {
        self.server = server
        self.events = events
        state = Lock(State(promised: server.stated))
    }

    /// The durability that the server stated first.
    var durability: StoreCapabilities.Durability { state.withLock { $0.promised } ?? .none }
    var hasReplicas: Bool { state.withLock { $0.facts?.hasReplicas } ?? true }

    /// Checks a server at the beginning of a connection.
    func admit(_ transport: any RedisTransport) async throws(StoreError) {
        try record(try await server.facts(transport))
        try await server.checkRights(transport)
    }

    /// Checks a server that was admitted.
    ///
    /// - Throws: `unavailable` if the server cannot serve the store now, or `failed` if the server does not keep a
    ///   promise of the store any more.
    func check(_ transport: any RedisTransport) async throws(StoreError) {
        let known = state.withLock { state -> RedisServerFacts? in
            state.checks = (state.checks + 1) % Self.checksPerFacts
            // A server that has broken a promise is asked for all facts until the server keeps the promise.
            if state.checks == 0 || state.hasBrokenPromise { return nil }
            return state.facts
        }
        if let known {
            try record(try await server.update(known, transport))
        } else {
            state.withLock { $0.hasBrokenPromise = true }
            try record(try await server.facts(transport))
            state.withLock { $0.hasBrokenPromise = false }
        }
    }

    private func record(_ facts: RedisServerFacts) throws(StoreError) {
        let (old, promised) = state.withLock { state in
            let old = state.facts
            let promised = state.promised ?? facts.durability
            (state.facts, state.promised) = (facts, promised)
            return (old, promised)
        }
        if let old, old.origin != facts.origin { events.emit(.storeWasEmptied) }
        if facts.durability < promised {
            throw StoreError(
                .failed,
                "the server's durability is \(facts.durability), but the store needs \(promised); set appendonly and appendfsync"
            )
        }
    }
}
