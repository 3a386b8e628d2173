import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// The model and the stores give the same answer to everything, as exactly as answers can be compared.
@Suite struct ModelTests {
    /// What moves a clock: nothing at all, parts of a millisecond, milliseconds, and now and then a day.
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
        _ clock: HandClock,
        base: Int64,
        mix: OperationMix,
        operations: Int,
        seed: UInt64
    ) async {
        var random = SeededGenerator(seed)
        var model = model
        for number in 0..<operations {
            clock.advance(by: step(using: &random))
            let now = base + HandClock.Instant(offset: .zero).duration(to: clock.now).saturatingNanoseconds
            let operation = mix.next(model, using: &random)
            let expected = model.apply(operation, now: now)
            let answer = await perform(operation, on: store)
            if answer == expected { continue }
            Issue.record("seed \(seed), operation \(number): \(operation)\nstore: \(answer)\nmodel: \(expected)")
            return
        }
    }

    @Test(arguments: 0..<12) func `the store in memory agrees with the model`(seed: UInt64) async throws {
        let clock = HandClock()
        let isSmall = seed % 3 == 2
        let limits =
            isSmall
            ? StoreLimits(maximumEntries: 7, maximumBytes: 900)
            : StoreLimits(maximumEntries: 1_000_000, maximumBytes: 256 << 20)
        let store = InMemoryStore(
            maximumEntries: limits.maximumEntries,
            maximumBytes: limits.maximumBytes,
            clock: clock
        )
        // The store reads the wall clock once. A counter's value says what it read.
        let probe = StoreOperation.update([.init(key("probe"), .add(1, within: 0...1, expiry: .nanoseconds(1)))])
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

    @Test(arguments: 0..<4) func `the file store agrees with the model`(seed: UInt64) async throws {
        let clock = HandClock()
        let store = try openStore(MemoryFileSystem(), clock: clock)
        let mix = OperationMix(longestValue: 2000)
        await compare(store, ModelStore(), clock, base: someday, mix: mix, operations: 300, seed: seed)
        await store.close()
    }
}
