#if LibPQ
import Foundation
import ReliabilityCore
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityStoreTesting
import Testing

@testable import ReliabilityPostgres

@Suite("PostgresStore conformance", .enabled(if: PostgresServer.programs != nil))
struct PostgresConformanceTests {
    private static let fixtures = Lock<[ObjectIdentifier: StoreFixture]>([:])

    static let conformance = StoreConformance(
        of: PostgresStore.self,
        seeds: 3,
        advance: { try await Task.sleep(for: $0) },
        reopen: { store, _ in
            let fixture = try fixture(of: store)
            await store.close()
            return try await open(fixture)
        },
        secondClient: { store, _ in try await open(try fixture(of: store)) },
        loseAnswer: { store, _ in (store.commands.transport as? LossyTransport)?.loseNextAnswer() },
        close: { store in
            let fixture = try fixture(of: store)
            await store.close()
            // The schema of a second client may be removed already.
            _ = try? await fixture.close()
        },
        makeStore: { _ in try await open(try await StoreFixture()) }
    )

    private static func fixture(of store: PostgresStore) throws -> StoreFixture {
        try #require(fixtures.withLock { $0[ObjectIdentifier(store)] })
    }

    private static func open(_ fixture: StoreFixture) async throws -> PostgresStore {
        let transport = LossyTransport(try LibPQTransport(fixture.server.address()))
        let store = try await fixture.store(over: transport)
        fixtures.withLock { $0[ObjectIdentifier(store)] = fixture }
        return store
    }

    @Test(arguments: conformance.applicableChecks)
    func conforms(to check: StoreConformance.Check) async throws {
        // All checks at the same time would take longer than the leases of some checks.
        await Self.turns.wait()
        do { try await Self.conformance.run(check) } catch {
            Self.turns.end()
            throw error
        }
        Self.turns.end()
    }

    private static let turns = Turns(6)
}

/// The right of a limited number of tests to run at the same time.
private final class Turns: Sendable {
    private let state: Lock<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

    init(_ count: Int) { state = Lock((count, [])) }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free == 0 {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func end() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}

/// A client that loses an answer on request.
final class LossyTransport: PostgresTransport {
    private let transport: LibPQTransport
    private let losesNext = Lock(false)

    init(_ transport: LibPQTransport) { self.transport = transport }

    func loseNextAnswer() { losesNext.withLock { $0 = true } }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        let reply = try await transport.query(sql, values, limit: limit)
        let isLost = losesNext.withLock { losesNext in
            defer { losesNext = false }
            return losesNext
        }
        if isLost { throw ConnectionFailure(isSent: true, "the answer was lost") }
        return reply
    }

    func close() async { await transport.close() }
}
#endif
