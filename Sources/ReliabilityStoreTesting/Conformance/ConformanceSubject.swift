internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

/// The closures of a `StoreConformance` with the type of the store erased.
struct ConformanceHarness: Sendable {
    typealias Successor = @Sendable (any KeyValueStore, ManualClock) async throws -> any KeyValueStore

    let keepsRecords: Bool
    let advance: (@Sendable (Duration) async throws -> Void)?
    let reopen: Successor?
    let crash: Successor?
    let secondClient: Successor?
    let loseAnswer: (@Sendable (any KeyValueStore, StoreOperation) async throws -> Void)?
    let close: @Sendable (any KeyValueStore) async throws -> Void
    let makeStore: @Sendable (ManualClock) async throws -> any KeyValueStore

    var provided: Set<StoreConformance.Need> {
        var provided: Set<StoreConformance.Need> = []
        if keepsRecords { provided.insert(.records) }
        if advance == nil { provided.insert(.exactTime) }
        if reopen != nil { provided.insert(.reopening) }
        if crash != nil { provided.insert(.crashing) }
        if secondClient != nil { provided.insert(.secondClient) }
        if loseAnswer != nil { provided.insert(.lostAnswers) }
        return provided
    }
}

/// The store under test, its clients and its clocks.
final class ConformanceSubject: Sendable {
    private struct State {
        var store: any KeyValueStore
        var clients: [any KeyValueStore] = []
    }

    private let harness: ConformanceHarness
    private let clock = ManualClock()
    /// The clock of the second client, ten minutes ahead of `clock`.
    private let skewedClock = ManualClock()
    private let state: Lock<State>

    init(_ harness: ConformanceHarness) async throws {
        self.harness = harness
        state = Lock(State(store: try await harness.makeStore(clock)))
        skewedClock.advance(by: .seconds(600))
    }

    var store: any KeyValueStore { state.withLock { $0.store } }
    var isExact: Bool { harness.advance == nil }
    var canReopen: Bool { harness.reopen != nil }

    func advance(_ duration: Duration) async throws {
        skewedClock.advance(by: duration)
        clock.advance(by: duration)
        try await harness.advance?(duration)
    }

    /// Closes the store and replaces the store by a reopened store.
    func reopen() async throws { try await replace(harness.reopen) }

    /// Ends the store without a close and replaces the store by a store with the remaining data.
    func crash() async throws { try await replace(harness.crash) }

    private func replace(_ successor: ConformanceHarness.Successor?) async throws {
        guard let successor else { return }
        let new = try await successor(store, clock)
        state.withLock { $0.store = new }
    }

    /// Connects a second client, with the skewed clock, to the same store.
    func secondClient() async throws -> any KeyValueStore {
        guard let connect = harness.secondClient else { return store }
        let client = try await connect(store, skewedClock)
        state.withLock { $0.clients.append(client) }
        return client
    }

    func loseAnswer(to operation: StoreOperation) async throws { try await harness.loseAnswer?(store, operation) }

    func close() async throws {
        let all = state.withLock { $0.clients + [$0.store] }
        for store in all { try await harness.close(store) }
    }
}
