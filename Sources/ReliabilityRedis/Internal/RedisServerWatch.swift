internal import ReliabilityCore
internal import ReliabilityStore

/// Compares the facts about a server with the promises of the store and with earlier facts.
final class RedisServerWatch: Sendable {
    private struct State {
        var facts: RedisServerFacts?
        /// The durability that the store promises, or `nil` before the first facts.
        var promised: StoreCapabilities.Durability?
    }

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
        try await check(transport)
        try await server.checkRights(transport)
    }

    /// Checks a server.
    ///
    /// - Throws: `failed` if the durability of the server is below the promised durability.
    func check(_ transport: any RedisTransport) async throws(StoreError) {
        let facts = try await server.facts(transport)
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
