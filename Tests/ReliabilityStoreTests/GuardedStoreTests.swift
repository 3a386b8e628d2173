import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("GuardedStore")
struct GuardedStoreTests {
    let clock = ManualClock()
    let inner: InMemoryStore
    let faulty: FaultInjectingStore
    let store: GuardedStore<any RecordStore>
    let key = StoreKey("test", "key")

    init() {
        inner = InMemoryStore(clock: clock)
        faulty = FaultInjectingStore(inner, clock: clock)
        let records: any RecordStore = faulty
        store = GuardedStore(records, timeLimit: .seconds(3), timeSource: TimeSource(clock))
    }

    func read() async throws(StoreError) -> StoreEntry? {
        try await store.read { [key] store throws(StoreError) in try await store.get(key) }
    }

    func write() async throws(StoreError) -> CommitResult {
        try await store.write { [key] store throws(StoreError) in
            try await store.commit([.put(key, [1], .never, if: .any)])
        }
    }

    /// The reason for which a call fails; nil when it does not.
    func reason<Success>(_ call: () async throws(StoreError) -> Success) async -> StoreError.Reason? {
        do throws(StoreError) {
            _ = try await call()
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("a store that works is asked and answers")
    func works() async throws {
        #expect(await reason(write) == nil)
        #expect(try await read()?.value == [1])
    }

    @Test("a read that takes too long is unavailable, a write has an unknown outcome")
    func late() async {
        faulty.outage = .hang
        for (call, expected) in [(true, StoreError.Reason.unavailable), (false, .unknownOutcome)] {
            let task = Task { call ? await reason(read) : await reason(write) }
            await clock.waitForSleepers(1)
            #expect(clock.timeToNextSleeper == .seconds(3))
            await clock.advanceToNextSleeper()
            #expect(await task.value == expected)
        }
    }

    /// Calls with a deadline that is so far away.
    private func late<Success: Sendable>(
        by left: Duration,
        _ call: () async throws(StoreError) -> Success
    ) async -> StoreError.Reason? {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: left), timeSource: timeSource)
        return await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) { await reason(call) }
    }

    @Test("the caller's deadline cuts the wait", arguments: [Duration.milliseconds(50), .seconds(2)])
    func deadline(left: Duration) async {
        faulty.outage = .hang
        for (call, expected) in [(true, StoreError.Reason.unavailable), (false, .unknownOutcome)] {
            let task = Task { call ? await late(by: left, read) : await late(by: left, write) }
            await clock.waitForSleepers(1)
            #expect(clock.timeToNextSleeper == left)
            await clock.advanceToNextSleeper()
            #expect(await task.value == expected)
        }
    }

    @Test("for a caller whose deadline has passed, the store is not asked")
    func expired() async {
        #expect(await late(by: .zero, write) == .unavailable)
        #expect(await late(by: .zero, read) == .unavailable)
        #expect(faulty.calls.events.isEmpty)
        #expect(await reason(write) == nil)
    }

    @Test(
        "a call that its deadline cut is evidence against the store if it had a tenth of the limit",
        arguments: [(Duration.milliseconds(299), false), (.milliseconds(300), true)]
    )
    func evidence(left: Duration, counts: Bool) async {
        faulty.outage = .hang
        for _ in 0..<3 {
            let task = Task { await late(by: left, write) }
            await clock.waitForSleepers(1)
            await clock.advanceToNextSleeper()
            #expect(await task.value == .unknownOutcome)
        }
        faulty.outage = nil
        #expect(await reason(write) == (counts ? .unavailable : nil))
    }

    @Test(
        "after three failures in a row it is not asked, but for one probe each second, and a lasting failure is named",
        arguments: [
            (StoreFault.failBefore, StoreError.Reason.unavailable), (.unknownOutcomeAfterApply, .unavailable),
            (.refuse(.failed), .failed), (.refuse(.closed), .closed),
        ]
    )
    func gate(fault: StoreFault, told: StoreError.Reason) async {
        faulty.outage = fault
        for _ in 0..<3 { #expect(await reason(write) != nil) }
        #expect(faulty.count(of: .commit) == 3)
        for _ in 0..<10 { #expect(await reason(write) == told) }
        #expect(await reason(read) == told)
        #expect(faulty.calls.events.count == 3)
        clock.advance(by: .seconds(1) - .nanoseconds(1))
        #expect(await reason(write) == told)
        #expect(faulty.calls.events.count == 3)
        clock.advance(by: .nanoseconds(1))
        for _ in 0..<10 { #expect(await reason(write) != nil) }
        #expect(faulty.calls.events.count == 4)
    }

    @Test("it recovers with the store's first answer, by itself")
    func recovers() async throws {
        faulty.outage = .failBefore
        for _ in 0..<5 { _ = await reason(write) }
        faulty.outage = nil
        #expect(await reason(write) == .unavailable)
        clock.advance(by: .seconds(1))
        #expect(await reason(write) == nil)
        for _ in 0..<5 { #expect(await reason(read) == nil) }
        #expect(try await inner.get(key)?.value == [1])
    }

    @Test("a dead server costs three waits, whatever the number of callers after")
    func deadServer() async {
        faulty.outage = .hang
        for _ in 0..<3 {
            let task = Task { await reason(read) }
            await clock.waitForSleepers(1)
            await clock.advanceToNextSleeper()
            #expect(await task.value == .unavailable)
        }
        let refused = await withTaskGroup { group in
            for _ in 0..<100 { group.addTask { await reason(read) } }
            return await group.reduce(into: 0) { $0 += $1 == .unavailable ? 1 : 0 }
        }
        #expect(refused == 100)
        #expect(clock.sleeperCount == 0)
        #expect(faulty.calls.events.count == 3)
    }

    @Test(
        "what a store refuses for good reasons does not keep callers from it",
        arguments: [StoreError.Reason.invalid, .capacityExceeded, .diskFull]
    )
    func refusals(reason expected: StoreError.Reason) async {
        faulty.outage = .refuse(expected)
        for _ in 0..<10 { #expect(await reason(write) == expected) }
        #expect(faulty.count(of: .commit) == 10)
    }

    @Test("an answer between failures begins the count anew")
    func notInARow() async {
        for _ in 0..<5 {
            faulty.failNext(.commit, with: .failBefore, times: 2)
            for _ in 0..<2 { #expect(await reason(write) == .unavailable) }
            #expect(await reason(write) == nil)
        }
        #expect(faulty.count(of: .commit) == 15)
    }

    @Test("callers that are cancelled leave every count as it was")
    func cancelledCallers() async {
        // What a driver says when its caller leaves, whatever it means by it.
        faulty.outage = .failBefore
        for _ in 0..<10 {
            let task = Task {
                unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
                return await reason(write)
            }
            #expect(await task.value == .unavailable)
        }
        #expect(faulty.count(of: .commit) == 10)
        faulty.outage = nil
        #expect(await reason(write) == nil)
    }

    @Test("for a caller that was cancelled before, nothing is written")
    func cancelledBefore() async throws {
        let task = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return await reason(write)
        }
        #expect(await task.value == .cancelled)
        #expect(try await inner.get(key) == nil)
    }

    @Test("a store that cannot stall is asked directly, always")
    func cannotStall() async throws {
        let plain: any KeyValueStore = inner
        let store = GuardedStore(plain, timeLimit: .seconds(3), timeSource: TimeSource(clock))
        for _ in 0..<10 {
            let error = await reason { () throws(StoreError) in
                try await store.read { store throws(StoreError) in
                    try await store.scan(StoreKey("test"), after: nil, limit: 0)
                }
            }
            #expect(error == .invalid)
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("a failure policy without time is refused")
    func misconfiguration() async {
        await #expect(processExitsWith: .failure) { _ = StoreFailurePolicy.open(timeLimit: .zero) }
    }
}
