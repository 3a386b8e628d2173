#if LibPQ
import ReliabilityLibPQ
import ReliabilityStore
import ReliabilityTesting
import StoreTrace
import Testing

@testable import ReliabilityPostgres

@Suite("PostgresStore and InMemoryStore", .serverTurn, .enabled(if: PostgresServer.isEnabled))
struct PostgresTraceTests {
    @Test("the stores give the same answers to the same calls", arguments: 1...10 as ClosedRange<UInt64>)
    func trace(seed: UInt64) async throws {
        let trace = StoreTrace(seed: seed, count: 300)
        let clock = ManualClock()
        let expected = await trace.answers(of: InMemoryStore(clock: clock)) { clock.advance(by: .milliseconds(1)) }
        try await withStore { store, _ in
            let answers = await trace.answers(of: store)
            let difference = zip(expected, answers).first { $0 != $1 }
            #expect(difference?.0 == difference?.1)
            #expect(expected.count == answers.count)
        }
    }
}
#endif
