import ReliabilityStore
import ReliabilityTesting
import StoreTrace
import Testing

@testable import ReliabilityFileStore

@Suite("FileStore and InMemoryStore")
struct FileStoreTraceTests {
    @Test("the stores give the same answers to the same calls", arguments: 1...30 as ClosedRange<UInt64>)
    func trace(seed: UInt64) async throws {
        let trace = StoreTrace(seed: seed, count: 300)
        let (first, second) = (ManualClock(), ManualClock())
        let expected = await trace.answers(of: InMemoryStore(clock: first)) { first.advance(by: .milliseconds(1)) }
        let store = try openStore(MemoryFileSystem(), clock: second)
        let answers = await trace.answers(of: store) { second.advance(by: .milliseconds(1)) }
        let difference = zip(expected, answers).first { $0 != $1 }
        #expect(difference?.0 == difference?.1)
        #expect(expected.count == answers.count)
        await store.close()
    }
}
