import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

/// Openings with a wrong wall clock.
@Suite("FileStore and the wall clock")
struct FileStoreWallClockTests {
    let files = MemoryFileSystem()
    private let day: Int64 = 86_400_000_000_000

    /// Makes a store with one entry that expires after a day.
    private func fill() async throws {
        let store = try openStore(files)
        try await store.put("charged", [1], .after(.seconds(86_400)))
        await store.close()
    }

    private func unbounded() -> FileStore.Configuration { .init(maxClockJump: .seconds(Int64.max)) }

    @Test(
        "a wall clock a year ahead expires nothing and is reported",
        arguments: [FileStore.Mode.readWrite, .readOnly]
    )
    func yearAhead(mode: FileStore.Mode) async throws {
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

    @Test(
        "the wall clock is believed up to exactly the bound",
        arguments: [Duration.zero, .seconds(1), .seconds(7 * 86_400)]
    )
    func bound(bound: Duration) async throws {
        for excess in [0, 1] as [Int64] {
            let files = MemoryFileSystem()
            let first = try openStore(files)
            try await first.put("short", [1], .after(.milliseconds(1)))
            await first.close()
            let jump = bound.saturatingNanoseconds + 1_000_000 * excess
            let configuration = FileStore.Configuration(maxClockJump: bound)
            let second = try openStore(files, unixTime: someday + jump, configuration: configuration)
            let isOver = excess == 0 && bound > .zero
            #expect((try await second.get(key("short")) == nil) == isOver)
            #expect(second.recovery.wallClockOffset == (excess == 0 ? .zero : .nanoseconds(jump)))
            await second.close()
        }
    }

    @Test("an opening with a larger bound confirms the wall clock permanently")
    func confirmation() async throws {
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

    @Test("time continues from the log's last time while the wall clock is not believed")
    func continues() async throws {
        try await fill()
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, unixTime: someday + 365 * day)
        clock.advance(by: .seconds(86_399))
        #expect(try await store.get(key("charged"))?.remaining == .seconds(1))
        clock.advance(by: .seconds(1))
        #expect(try await store.get(key("charged")) == nil)
        await store.close()
    }

    @Test("a wall clock that is behind changes no expiry and is reported", arguments: [1, 365] as [Int64])
    func behind(days: Int64) async throws {
        try await fill()
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, unixTime: someday - days * day)
        #expect(store.recovery.wallClockOffset == .seconds(-days * 86_400))
        #expect(try await store.get(key("charged"))?.remaining == .seconds(86_400))
        await store.close()
    }

    @Test("a negative bound is rejected")
    func negativeBound() async {
        #expect(
            problems(of: FileStore.Configuration(maxClockJump: .nanoseconds(-1)).validate) == [
                "maxClockJump must not be negative (is -1e-09 seconds)"
            ]
        )
    }

    @Test("a new store takes the wall clock unchanged")
    func newStore() async throws {
        let store = try openStore(files, unixTime: someday + 3650 * day)
        #expect(store.recovery.wallClockOffset == .zero)
        await store.close()
    }

    @Test("a store that was open for months has no clock offset at its next opening", arguments: [true, false])
    func openForMonths(isUsed: Bool) async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock)
        try await store.put("kept", [1])
        for _ in 0..<120 {
            clock.advance(by: .seconds(86_400))
            // The store only reads, or does nothing.
            if isUsed { _ = try await store.get(key("kept")) }
        }
        // The used store is killed, and the other store is closed.
        if !isUsed { await store.close() }
        let next = try openStore(MemoryFileSystem(files.syncedFiles), unixTime: someday + 121 * day)
        #expect(next.recovery.wallClockOffset == .zero)
        await next.close()
        await store.close()
    }

    @Test("a store that is only read records the time once per hour")
    func recordingCost() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock, tuning: LogTuning(growth: 64 << 10))
        let before = files.fileSyncs
        for _ in 0..<100 {
            clock.advance(by: .seconds(360))
            for _ in 0..<10 { _ = try await store.get(key("a")) }
        }
        #expect(files.fileSyncs - before == 10)
        await store.close()
    }

    @Test("a store on a full disk is read although the time cannot be recorded")
    func fullDisk() async throws {
        let clock = ManualClock()
        let store = try openStore(files, clock: clock)
        files.set { $0.freeBytes = 0 }
        while await reason({ try await store.put("a", [2]) }) == nil {}
        let calls = files.calls
        for _ in 0..<10 {
            clock.advance(by: .seconds(360))
            for _ in 0..<10 { #expect(try await store.get(key("a"))?.value == [2]) }
        }
        // The store tries to find room once and not a hundred times.
        #expect(files.calls - calls < 10)
        await store.close()
    }
}
