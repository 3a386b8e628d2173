import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import StoreSimulation
import Testing

/// The model and the stores give the same answer to every operation.
@Suite("ModelStore")
struct ModelStoreTests {
    /// Returns a random step of the clock: zero, a part of a millisecond, milliseconds or rarely a day.
    private func step(using random: inout SeededGenerator) -> Duration {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: .zero
        case 3..<5: .nanoseconds(.random(in: 1...999_999, using: &random))
        case 5..<9: .milliseconds(.random(in: 1...12, using: &random))
        default: Bool.random(using: &random) ? .seconds(2) : .seconds(86_400)
        }
    }

    private func compare(
        _ store: some RecordStore,
        _ model: ModelStore,
        _ clock: ManualClock,
        base: Int64,
        mix: OperationMix,
        operations: Int,
        seed: UInt64
    ) async {
        var random = SeededGenerator(seed: seed)
        var model = model
        for number in 0..<operations {
            clock.advance(by: step(using: &random))
            let now = base + ManualClock().now.duration(to: clock.now).saturatingNanoseconds
            let operation = mix.next(model, using: &random)
            let expected = model.apply(operation, now: now)
            let answer = await perform(operation, on: store)
            if answer == expected { continue }
            Issue.record("seed \(seed), operation \(number): \(operation)\nstore: \(answer)\nmodel: \(expected)")
            return
        }
    }

    @Test("InMemoryStore agrees with the model", arguments: 0..<12)
    func inMemoryStore(seed: UInt64) async throws {
        let clock = ManualClock()
        let isSmall = seed % 3 == 2
        let limits =
            isSmall
            ? StoreLimits(maxEntries: 7, maxBytes: 900)
            : StoreLimits(maxEntries: 1_000_000, maxBytes: 256 << 20)
        let store = InMemoryStore(
            InMemoryStore.Configuration(maxEntries: limits.maxEntries, maxBytes: limits.maxBytes),
            clock: clock
        )
        // The store reads the wall clock once. The value of a counter shows the time that it read.
        let probe = WorkloadOperation.update([.init(key("probe"), .add(1, within: 0...1, expiry: .nanoseconds(1)))])
        _ = await perform(probe, on: store)
        let bytes = try #require(try await store.get(key("probe"))?.value)
        let base = Int64(bitPattern: bytes[9..<17].reduce(0) { $0 << 8 | UInt64($1) }) - 1
        var model = ModelStore(limits: limits)
        _ = model.apply(probe, now: base)
        await compare(
            store,
            model,
            clock,
            base: base,
            mix: OperationMix(longestValue: seed % 2 == 0 ? 40 : 700),
            operations: 1500,
            seed: seed
        )
    }

    @Test("FileStore agrees with the model", arguments: 0..<4)
    func fileStore(seed: UInt64) async throws {
        let clock = ManualClock()
        let store = try openStore(MemoryFileSystem(), clock: clock)
        let mix = OperationMix(longestValue: 2000)
        await compare(store, ModelStore(), clock, base: someday, mix: mix, operations: 300, seed: seed)
        await store.close()
    }
}
