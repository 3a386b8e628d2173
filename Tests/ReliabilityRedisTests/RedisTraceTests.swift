import ReliabilityStore
import ReliabilityTesting
import StoreTrace
import Testing

@testable import ReliabilityRedis

@Suite("RedisStore and InMemoryStore", .enabled(if: RedisServer.isEnabled))
struct RedisTraceTests {
    @Test("the stores give the same answers to the same calls", arguments: 1...30 as ClosedRange<UInt64>)
    func trace(seed: UInt64) async throws {
        let trace = StoreTrace(seed: seed, count: 300)
        let clock = ManualClock()
        let expected = await trace.answers(of: InMemoryStore(clock: clock)) { clock.advance(by: .milliseconds(1)) }
        let answers = await trace.answers(of: try await RedisServer.shared.get().store())
        let difference = zip(expected, answers).first { $0 != $1 }
        #expect(difference?.0 == difference?.1)
        #expect(expected.count == answers.count)
    }
}
