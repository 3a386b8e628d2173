internal import ReliabilityCore
internal import ReliabilityStore

/// Compares the facts about a server with the promises of the store.
final class ServerWatch: Sendable {
    private struct State {
        /// The facts at the opening, whose durability is a promise of the store.
        var first: ServerFacts?
        /// The number of checks since all facts were read.
        var checks = 0
        var hasBrokenPromise = false
    }

    /// The number of checks of which one reads all facts.
    ///
    /// The others read what changes in a failover.
    private static let checksPerFacts = 15

    private let configuration: PostgresStore.Configuration
    private let state = Lock(State())

    init(_ configuration: PostgresStore.Configuration) { self.configuration = configuration }

    /// The facts at the opening, or `nil` before the opening.
    var facts: ServerFacts? { state.withLock { $0.first } }

    /// Checks a server at the beginning of a client.
    ///
    /// - Throws: `failed` if the durability of the server is below the durability at the opening, or the errors of
    ///   ``ServerFacts/verify(_:schema:)``.
    func admit(_ transport: any PostgresTransport) async throws(StoreError) {
        let facts = try await ServerFacts.verify(commands(transport), schema: configuration.schema)
        let promised = state.withLock { state in
            if state.first == nil { state.first = facts }
            return state.first?.durability ?? facts.durability
        }
        if facts.durability < promised {
            throw StoreError(
                .failed,
                "the server's durability is \(facts.durability), but the store needs \(promised); "
                    + "see fsync, full_page_writes and synchronous_commit"
            )
        }
    }

    /// Checks a server that was admitted.
    func check(_ transport: any PostgresTransport) async throws(StoreError) {
        let needsAll = state.withLock { state in
            state.checks = (state.checks + 1) % Self.checksPerFacts
            return state.checks == 0 || state.hasBrokenPromise
        }
        guard needsAll else { return try await ServerFacts.verifyRole(commands(transport)) }
        state.withLock { $0.hasBrokenPromise = true }
        try await admit(transport)
        state.withLock { $0.hasBrokenPromise = false }
    }

    private func commands(_ transport: any PostgresTransport) -> PostgresCommands {
        PostgresCommands(.fixed(transport), timeout: configuration.callTimeout)
    }
}
