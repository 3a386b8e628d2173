import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("Deduplicator cancellation")
struct DeduplicatorCancellationTests {
    let fixture = DedupFixture()

    @Test(
        "a task that is cancelled during its claim runs nothing and leaves no claim",
        arguments: [
            StoreDouble.Fault.cancelBefore, .cancelAfter,
        ]
    )
    func cancelledAtTheClaim(fault: StoreDouble.Fault) async throws {
        let store = StoreDouble(fixture.memory)
        store.failNext(.commit, with: fault)
        let dedup = fixture.dedup(store: store)
        let runs = ConcurrencyCounter()
        let task = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in runs.increment() } }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.value == 0)
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "next" }.isStored)
    }

    @Test("a claim of unknown outcome is released when the task is cancelled")
    func cancelledWhileUnknown() async throws {
        let store = StoreDouble(fixture.memory)
        store.failNext(.commit, with: .unknownOutcomeAfterApply, .cancelBefore)
        let dedup = fixture.dedup(store: store)
        let task = Task { try await dedup.run("charge", ["ada", "k1"]) { _ in } }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
    }

    @Test("a cancelled operation releases its claim", arguments: [true, false])
    func cancelledInTheOperation(isOpen: Bool) async throws {
        let dedup = fixture.dedup(storeFailure: isOpen ? .failOpen() : .failClosed())
        let gate = TaskGate()
        let task = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                await gate.pass()
                try Task.checkCancellation()
                return ""
            }
        }
        await gate.waitForArrivals(1)
        task.cancel()
        gate.open()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await fixture.entry(["ada", "k1"]) == nil)
        #expect(fixture.clock.sleeperCount == 0)
    }

    @Test("the result of an operation that succeeds after its cancellation is kept")
    func succeedsAfterCancellation() async throws {
        let dedup = fixture.dedup()
        let task = Task {
            try await dedup.run("charge", ["ada", "k1"]) { _ in
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                return "charged"
            }
        }
        #expect(try await task.value.isStored)
        #expect(try await dedup.run("charge", ["ada", "k1"]) { _ in "again" }.value == "charged")
    }

    @Test("a cancelled duplicate leaves the kept result unchanged")
    func othersAreUnaffected() async throws {
        let dedup = fixture.dedup()
        _ = try await dedup.run("charge", ["ada", "k1"]) { _ in "first" }
        let before = try await fixture.entry(["ada", "k1"])
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await dedup.run("charge", ["ada", "k1"]) { _ in "second" }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await fixture.entry(["ada", "k1"]) == before)
    }
}
