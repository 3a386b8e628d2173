import ReliabilityCore
import ReliabilityStoreTesting
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityStore

private enum Change: StoreObservedEvent {
    case storeDown(StoreError)
    case storeRecovered
    case missed(count: Int)
}

@Suite("GuardedStore")
struct GuardedStoreTests {
    let clock = ManualClock()
    let inner: InMemoryStore
    let faulty: FaultInjectingStore
    let store: GuardedStore<any RecordStore>
    let key = StoreKey("test", "key")
    private let changes = EventRecorder<Change>()

    init() {
        inner = InMemoryStore(clock: clock)
        faulty = FaultInjectingStore(inner, clock: clock)
        let records: any RecordStore = faulty
        store = GuardedStore(
            records,
            canStall: records.capabilities.canStall,
            timeout: .seconds(3),
            timeSource: TimeSource(clock),
            events: EventSink(changes.record)
        )
    }

    func read() async throws(StoreError) -> StoreEntry? {
        try await store.read { [key] store throws(StoreError) in try await store.get(key) }
    }

    func write() async throws(StoreError) -> CommitResult {
        try await store.write { [key] store throws(StoreError) in
            try await store.commit([.put(key, [1], .never, if: .any)])
        }
    }

    /// Returns the reason of a failed call, or `nil` if the call succeeds.
    func reason<Success>(_ call: () async throws(StoreError) -> Success) async -> StoreError.Reason? {
        do throws(StoreError) {
            _ = try await call()
            return nil
        } catch {
            return error.reason
        }
    }

    @Test("calls reach a working store")
    func works() async throws {
        #expect(await reason(write) == nil)
        #expect(try await read()?.value == [1])
    }

    @Test("a late read is unavailable, and a late write has an unknown outcome")
    func timeout() async {
        faulty.outage = .hang
        for (call, expected) in [(true, StoreError.Reason.unavailable), (false, .unknownOutcome)] {
            let task = Task { call ? await reason(read) : await reason(write) }
            await clock.waitForSleepers(1)
            #expect(clock.timeToNextSleeper == .seconds(3))
            await clock.advanceToNextSleeper()
            #expect(await task.value == expected)
        }
    }

    /// Makes a call with a deadline.
    private func late<Success: Sendable>(
        by left: Duration,
        _ call: () async throws(StoreError) -> Success
    ) async -> StoreError.Reason? {
        let timeSource = TimeSource(clock)
        let deadline = Deadline(instant: timeSource.instant(after: left), timeSource: timeSource)
        return await DeadlineScope.$innermost.withValue(DeadlineScope(deadline)) { await reason(call) }
    }

    @Test("the caller's deadline limits the wait", arguments: [Duration.milliseconds(50), .seconds(2)])
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

    @Test("a call after the caller's deadline does not reach the store")
    func expired() async {
        #expect(await late(by: .zero, write) == .unavailable)
        #expect(await late(by: .zero, read) == .unavailable)
        #expect(faulty.calls.events.isEmpty)
        #expect(await reason(write) == nil)
    }

    @Test(
        "a call that a deadline ends counts as a failure from a tenth of the timeout on",
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
        "after three failures, one probe per second reaches the store and other calls fail with the reason",
        arguments: [
            (StoreFault.failBefore, StoreError.Reason.unavailable), (.unknownOutcomeAfterApply, .unavailable),
            (.reject(.failed), .failed), (.reject(.closed), .closed),
        ]
    )
    func opens(fault: StoreFault, told: StoreError.Reason) async {
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

    @Test("calls resume after the first successful probe")
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

    @Test("a hanging server delays three calls and no later call")
    func deadServer() async {
        faulty.outage = .hang
        for _ in 0..<3 {
            let task = Task { await reason(read) }
            await clock.waitForSleepers(1)
            await clock.advanceToNextSleeper()
            #expect(await task.value == .unavailable)
        }
        let rejected = await withTaskGroup { group in
            for _ in 0..<100 { group.addTask { await reason(read) } }
            return await group.reduce(into: 0) { $0 += $1 == .unavailable ? 1 : 0 }
        }
        #expect(rejected == 100)
        #expect(clock.sleeperCount == 0)
        #expect(faulty.calls.events.count == 3)
    }

    @Test(
        "rejected requests do not count as failures of the store",
        arguments: [StoreError.Reason.invalid, .capacityExceeded, .diskFull]
    )
    func rejections(reason expected: StoreError.Reason) async {
        faulty.outage = .reject(expected)
        for _ in 0..<10 { #expect(await reason(write) == expected) }
        #expect(faulty.count(of: .commit) == 10)
    }

    @Test("a success resets the count of failures")
    func notInARow() async {
        for _ in 0..<5 {
            faulty.failNext(.commit, with: .failBefore, times: 2)
            for _ in 0..<2 { #expect(await reason(write) == .unavailable) }
            #expect(await reason(write) == nil)
        }
        #expect(faulty.count(of: .commit) == 15)
    }

    @Test("cancelled calls do not count as failures")
    func cancelledCallers() async {
        // A driver may report any error for a cancelled call.
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

    @Test("a call of a cancelled task writes nothing")
    func cancelledBefore() async throws {
        let task = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return await reason(write)
        }
        #expect(await task.value == .cancelled)
        #expect(try await inner.get(key) == nil)
    }

    @Test("a store that cannot stall is called without a timeout or a breaker")
    func cannotStall() async throws {
        let plain: any KeyValueStore = inner
        let store = GuardedStore(
            plain,
            canStall: plain.capabilities.canStall,
            timeout: .seconds(3),
            timeSource: TimeSource(clock),
            events: EventSink<Change>(nil)
        )
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

    @Test("availability events alternate, and cancelled or invalid calls cause none")
    func availability() async throws {
        func names() async -> [String] {
            await ObserverDelivery.flush(within: .seconds(3600))
            return changes.events.map { change in
                switch change {
                case .storeDown(let error): "down \(error.reason)"
                case .storeRecovered: "recovered"
                case .missed(let count): "missed \(count)"
                }
            }
        }
        _ = try await read()
        #expect(await names() == [])
        faulty.failNext(.get, with: .failBefore, times: 2)
        #expect(await reason(read) == .unavailable)
        #expect(await reason(read) == .unavailable)
        #expect(await names() == ["down unavailable"])
        _ = try await read()
        _ = try await read()
        #expect(await names() == ["down unavailable", "recovered"])
        let error = await reason { () throws(StoreError) in
            try await store.read { store throws(StoreError) in
                try await store.scan(StoreKey("test"), after: nil, limit: 0)
            }
        }
        #expect(error == .invalid)
        faulty.failNext(.get, with: .failBefore)
        let left = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return await reason(read)
        }
        #expect(await left.value == .unavailable)
        #expect(await names() == ["down unavailable", "recovered"])
    }

    @Test("a timeout of zero is invalid")
    func validation() {
        #expect(
            problems(of: StoreFailureMode.failOpen(timeout: .zero).validate)
                == ["the timeout of a store call must be positive (is 0.0 seconds)"]
        )
        #expect(problems(of: StoreFailureMode.failClosed().validate) == [])
    }
}
