import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import Testing

/// Openings at which the wall clock is not where it should be.
@Suite struct WallClockTests {
    let files = MemoryFileSystem()
    private let day: Int64 = 86_400_000_000_000

    /// A store with one entry that lives for a day.
    private func fill() async throws {
        let store = try openStore(files)
        try await store.put("charged", [1], .after(.seconds(86_400)))
        await store.close()
    }

    private func unbounded() -> FileStore.Configuration { .init(maximumClockJump: .seconds(Int64.max)) }

    @Test(arguments: [FileStore.Mode.readWrite, .readOnly])
    func `one opening with the wall clock a year ahead ends nothing and is reported`(mode: FileStore.Mode) async throws
    {
        try await fill()
        let wrong = try openStore(files, mode: mode, unixTime: someday + 365 * day)
        #expect(wrong.recovery.wallClockOffset == .seconds(365 * 86_400))
        #expect(try await wrong.get(key("charged"))?.remaining == .seconds(86_400))
        await wrong.close()
        let right = try openStore(files, unixTime: someday)
        #expect(right.recovery.wallClockOffset == .zero)
        #expect(try await right.get(key("charged"))?.value == [1])
        await right.close()
    }

    @Test(arguments: [Duration.zero, .seconds(1), .seconds(7 * 86_400)])
    func `the wall clock is believed up to the bound, and not a millisecond more`(bound: Duration) async throws {
        for excess in [0, 1] as [Int64] {
            let files = MemoryFileSystem()
            let first = try openStore(files)
            try await first.put("short", [1], .after(.milliseconds(1)))
            await first.close()
            let jump = bound.saturatingNanoseconds + 1_000_000 * excess
            let configuration = FileStore.Configuration(maximumClockJump: bound)
            let second = try openStore(files, unixTime: someday + jump, configuration: configuration)
            let isOver = excess == 0 && bound > .zero
            #expect((try await second.get(key("short")) == nil) == isOver)
            #expect(second.recovery.wallClockOffset == (excess == 0 ? .zero : .nanoseconds(jump)))
            await second.close()
        }
    }

    @Test func `an opening with a larger bound confirms the wall clock, for good`() async throws {
        try await fill()
        let later = someday + 30 * day
        for _ in 1...2 {
            let held = try openStore(files, unixTime: later)
            #expect(held.recovery.wallClockOffset == .seconds(30 * 86_400))
            await held.close()
        }
        let confirmed = try openStore(files, unixTime: later, configuration: unbounded())
        #expect(confirmed.recovery.wallClockOffset == .zero)
        #expect(try await confirmed.get(key("charged")) == nil)
        await confirmed.close()
        let next = try openStore(files, unixTime: later + day)
        #expect(next.recovery.wallClockOffset == .zero)
        await next.close()
    }

    @Test func `while the wall clock is not believed, time goes on from where the log was`() async throws {
        try await fill()
        let clock = HandClock()
        let store = try openStore(files, clock: clock, unixTime: someday + 365 * day)
        clock.advance(by: .seconds(86_399))
        #expect(try await store.get(key("charged"))?.remaining == .seconds(1))
        clock.advance(by: .seconds(1))
        #expect(try await store.get(key("charged")) == nil)
        await store.close()
    }

    @Test(arguments: [1, 365] as [Int64])
    func `a wall clock that is behind ends nothing, prolongs nothing and is reported`(days: Int64) async throws {
        try await fill()
        let clock = HandClock()
        let store = try openStore(files, clock: clock, unixTime: someday - days * day)
        #expect(store.recovery.wallClockOffset == .seconds(-days * 86_400))
        #expect(try await store.get(key("charged"))?.remaining == .seconds(86_400))
        await store.close()
    }

    @Test func `a negative bound is refused at construction`() async {
        await #expect(processExitsWith: .failure) {
            _ = FileStore.Configuration(maximumClockJump: .nanoseconds(-1))
        }
    }

    @Test func `a new store takes the wall clock as it is`() async throws {
        let store = try openStore(files, unixTime: someday + 3650 * day)
        #expect(store.recovery.wallClockOffset == .zero)
        await store.close()
    }

    @Test(arguments: [true, false])
    func `a store that was open for months is not taken for one that was closed`(isUsed: Bool) async throws {
        let clock = HandClock()
        let store = try openStore(files, clock: clock)
        try await store.put("kept", [1])
        for _ in 0..<120 {
            clock.advance(by: .seconds(86_400))
            // It reads and has nothing to write, or does nothing at all.
            if isUsed { _ = try await store.get(key("kept")) }
        }
        // Killed, where it was used; otherwise closed.
        if !isUsed { await store.close() }
        let next = try openStore(MemoryFileSystem(files.syncedFiles), unixTime: someday + 121 * day)
        #expect(next.recovery.wallClockOffset == .zero)
        await next.close()
        await store.close()
    }

    @Test func `recording the time costs a store that is read a frame an hour and no more`() async throws {
        let clock = HandClock()
        let store = try openStore(files, clock: clock, tuning: LogTuning(growth: 64 << 10))
        let before = files.fileSyncs
        for _ in 0..<100 {
            clock.advance(by: .seconds(360))
            for _ in 0..<10 { _ = try await store.get(key("a")) }
        }
        #expect(files.fileSyncs - before == 10)
        await store.close()
    }

    @Test func `on a full disk a store whose time cannot be recorded is read all the same`() async throws {
        let clock = HandClock()
        let store = try openStore(files, clock: clock)
        files.set { $0.freeBytes = 0 }
        while await reason({ try await store.put("a", [2]) }) == nil {}
        let calls = files.calls
        for _ in 0..<10 {
            clock.advance(by: .seconds(360))
            for _ in 0..<10 { #expect(try await store.get(key("a"))?.value == [2]) }
        }
        // One attempt to find room, not a hundred.
        #expect(files.calls - calls < 5)
        await store.close()
    }
}
