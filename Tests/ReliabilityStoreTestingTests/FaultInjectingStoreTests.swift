import ReliabilityCore
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import Testing

@Suite("FaultInjectingStore")
struct FaultInjectingStoreTests {
    let clock = ManualClock()
    let inner: InMemoryStore
    let store: FaultInjectingStore
    let key = StoreKey("test", "key")

    init() {
        inner = InMemoryStore(clock: clock)
        store = FaultInjectingStore(inner, clock: clock)
    }

    func put(_ value: [UInt8] = [1], into store: FaultInjectingStore? = nil) async throws(StoreError) -> CommitResult {
        try await (store ?? self.store).commit([.put(key, value, .never, if: .any)])
    }

    @Test(
        "a fault throws its error and applies the write or not",
        arguments: [
            (StoreFault.failBefore, StoreError.Reason.unavailable, false),
            (.reject(.diskFull), .diskFull, false),
            (.unknownOutcomeBeforeApply, .unknownOutcome, false),
            (.unknownOutcomeAfterApply, .unknownOutcome, true),
        ]
    )
    func faults(fault: StoreFault, reason: StoreError.Reason, isApplied: Bool) async throws {
        store.failNext(.commit, with: fault)
        let error = await #expect(throws: StoreError.self) { try await put() }
        #expect(error?.reason == reason)
        #expect(try await inner.get(key)?.value == (isApplied ? [1] : nil))
        _ = try await put([2])
        #expect(try await inner.get(key)?.value == [2])
    }

    @Test(
        "a read has no unknown outcome",
        arguments: [StoreFault.unknownOutcomeBeforeApply, .unknownOutcomeAfterApply]
    )
    func reads(fault: StoreFault) async {
        store.failNext(.get, with: fault)
        let error = await #expect(throws: StoreError.self) { try await store.get([key]) }
        #expect(error?.reason == .unavailable)
    }

    @Test("queued faults apply once each, in order, to their operation only")
    func order() async throws {
        store.failNext(.commit, with: .reject(.diskFull))
        store.failNext(.commit, with: .failBefore, times: 2)
        #expect(try await store.get([key]) == [nil])
        var reasons: [StoreError.Reason?] = []
        for _ in 0..<4 {
            do throws(StoreError) {
                _ = try await put()
                reasons.append(nil)
            } catch {
                reasons.append(error.reason)
            }
        }
        #expect(reasons == [.diskFull, .unavailable, .unavailable, nil])
    }

    @Test("an outage applies to every call and keeps the queued faults")
    func outage() async throws {
        store.failNext(.get, with: .reject(.diskFull))
        store.outage = .failBefore
        for _ in 0..<3 {
            let error = await #expect(throws: StoreError.self) { try await store.get([key]) }
            #expect(error?.reason == .unavailable)
        }
        store.outage = nil
        let error = await #expect(throws: StoreError.self) { try await store.get([key]) }
        #expect(error?.reason == .diskFull)
        #expect(try await store.get([key]) == [nil])
    }

    @Test("a function decides by operation and ordinal")
    func script() async throws {
        let store = FaultInjectingStore(inner) { call in
            call.operation == .commit && call.ordinal == 2 ? .failBefore : nil
        }
        _ = try await put(into: store)
        _ = try await store.get([key])
        await #expect(throws: StoreError.self) { try await put(into: store) }
        _ = try await put(into: store)
        #expect(store.count(of: .commit) == 3)
        #expect(store.calls.events.map(\.index) == [1, 2, 3, 4])
        #expect(store.calls.events.map(\.ordinal) == [1, 1, 2, 3])
        #expect(store.calls.events.map(\.operation) == [.commit, .get, .commit, .commit])
    }

    @Test("a slow call begins after its delay")
    func slow() async throws {
        store.failNext(.commit, with: .slow(.seconds(5)))
        let call = Task { try await put() }
        await clock.waitForSleepers(1)
        #expect(try await inner.get(key) == nil)
        clock.advance(by: .seconds(5))
        _ = try await call.value
        #expect(try await inner.get(key)?.value == [1])
    }

    @Test("a slow call that is cancelled during its delay has no effect")
    func slowAndCancelled() async throws {
        store.failNext(.commit, with: .slow(.seconds(5)))
        let call = Task { try await put() }
        await clock.waitForSleepers(1)
        call.cancel()
        let error = await #expect(throws: StoreError.self) { try await call.value }
        #expect(error?.reason == .cancelled)
        #expect(try await inner.get(key) == nil)
    }

    @Test(
        "a hanging call ends when it is cancelled and reports its outcome",
        arguments: [
            (StoreFault.hang, StoreError.Reason.cancelled, false), (.hangAfterApply, .unknownOutcome, true),
        ]
    )
    func hang(fault: StoreFault, reason: StoreError.Reason, isApplied: Bool) async throws {
        store.failNext(.commit, with: fault)
        let call = Task { try await put() }
        await store.calls.wait(for: 1)
        while isApplied, try await inner.get(key) == nil { await Task.yield() }
        call.cancel()
        let error = await #expect(throws: StoreError.self) { try await call.value }
        #expect(error?.reason == reason)
        #expect(try await inner.get(key)?.value == (isApplied ? [1] : nil))
    }

    @Test("every operation can fail")
    func everyOperation() async {
        store.outage = .failBefore
        let claim = RecordClaim(
            queue: "q",
            id: "1",
            payload: [],
            attempt: 1,
            token: StoreVersion(rawValue: 1),
            wasAbandoned: false
        )
        let operations: [(StoreOperation, () async throws(StoreError) -> Void)] = [
            (.get, { () throws(StoreError) in _ = try await store.get([key]) }),
            (.commit, { () throws(StoreError) in _ = try await store.commit([]) }),
            (.commit, { () throws(StoreError) in _ = try await store.commit([], enqueueing: []) }),
            (.update, { () throws(StoreError) in _ = try await store.update([]) }),
            (.scan, { () throws(StoreError) in _ = try await store.scan(key, after: nil, limit: 1) }),
            (.enqueue, { () throws(StoreError) in _ = try await store.enqueue([]) }),
            (.claim, { () throws(StoreError) in _ = try await store.claim("q", limit: 1, lease: .seconds(1)) }),
            (.settle, { () throws(StoreError) in _ = try await store.settle([Settlement(claim, .done)]) }),
            (.nextDue, { () throws(StoreError) in _ = try await store.nextDue("q") }),
            (.counts, { () throws(StoreError) in _ = try await store.counts("q") }),
            (.page, { () throws(StoreError) in _ = try await store.page("q", .deadLetter, after: nil, limit: 1) }),
        ]
        for (operation, call) in operations {
            let error = await #expect(throws: StoreError.self) { try await call() }
            #expect(error?.reason == .unavailable)
            #expect(store.calls.events.last?.operation == operation)
        }
        #expect(Set(operations.map(\.0)) == Set(StoreOperation.allCases))
    }

    @Test("the seed and the index of a call determine its fault")
    func random() {
        let calls = (1...10_000).map { StoreCall(operation: .commit, ordinal: $0, index: $0) }
        let faults = calls.map(StoreFault.random(probability: 0.2, seed: 7))
        #expect(calls.reversed().map(StoreFault.random(probability: 0.2, seed: 7)) == faults.reversed())
        #expect(calls.map(StoreFault.random(probability: 0.2, seed: 8)) != faults)
        #expect((1_800...2_200).contains(faults.count { $0 != nil }))
        #expect(Set(faults.compactMap { $0 }) == [.failBefore, .unknownOutcomeBeforeApply, .unknownOutcomeAfterApply])
        #expect(calls.allSatisfy { StoreFault.random(probability: 0, seed: 7)($0) == nil })
        #expect(calls.allSatisfy { StoreFault.random(probability: 1, seed: 7)($0) != nil })
    }

    @Test("the store can stall")
    func capabilities() {
        #expect(!inner.capabilities.canStall)
        #expect(store.capabilities.canStall)
    }

    @Test("a probability above 1 is rejected")
    func invalidProbability() async {
        await #expect(processExitsWith: .failure) { _ = StoreFault.random(probability: 1.5, seed: 1) }
    }
}
