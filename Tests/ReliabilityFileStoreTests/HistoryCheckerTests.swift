import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

@Suite("HistoryChecker")
struct HistoryCheckerTests {
    private func call(
        _ client: Int,
        _ operation: WorkloadOperation,
        _ span: ClosedRange<Int>,
        _ answer: StoreAnswer,
        now: Int64 = someday
    ) -> HistoryCall {
        let isUnknown = answer == .rejected(.unknownOutcome)
        return HistoryCall(
            client: client,
            .operation(operation),
            now: now,
            invoked: span.lowerBound,
            responded: isUnknown ? .max : span.upperBound,
            answer
        )
    }

    private func put(_ value: UInt8, if condition: WriteCondition = .any) -> WorkloadOperation {
        .commit([.put(key("a"), [value], .never, if: condition)], [])
    }

    private func committed(_ version: UInt64) -> StoreAnswer {
        .commit(.committed([StoreVersion(rawValue: version)], records: []))
    }

    private func entry(_ value: UInt8, _ version: UInt64) -> StoreEntry {
        StoreEntry(value: [value], version: StoreVersion(rawValue: version), remaining: nil)
    }

    private var get: WorkloadOperation { .get([key("a")]) }

    private func isLinearizable(_ calls: [HistoryCall]) -> Bool {
        HistoryChecker(calls).check(from: ModelStore()) == .linearizable
    }

    @Test("sequential calls are linearizable")
    func sequential() {
        #expect(isLinearizable([]))
        #expect(isLinearizable([call(0, put(1), 1...2, committed(1)), call(0, get, 3...4, .entries([entry(1, 1)]))]))
    }

    @Test("concurrent calls may take effect in any order")
    func concurrent() {
        #expect(
            isLinearizable([
                call(0, put(1), 1...10, committed(2)), call(1, put(2), 2...3, committed(1)),
                call(1, get, 4...5, .entries([entry(2, 1)])), call(2, get, 6...20, .entries([entry(1, 2)])),
            ])
        )
    }

    @Test("a lost update is not linearizable")
    func lostUpdate() {
        let first = call(0, put(1), 1...2, committed(1))
        let condition = WriteCondition.version(StoreVersion(rawValue: 1))
        let one = call(0, put(2, if: condition), 3...6, committed(2))
        let other = call(1, put(3, if: condition), 4...5, committed(3))
        #expect(!isLinearizable([first, one, other]))
        let conflict = StoreAnswer.commit(.conflict(index: 0, current: entry(2, 2)))
        #expect(isLinearizable([first, one, call(1, put(3, if: condition), 4...5, conflict)]))
    }

    @Test("a stale read is not linearizable")
    func staleRead() {
        let writes = [call(0, put(1), 1...2, committed(1)), call(0, put(2), 3...4, committed(2))]
        #expect(!isLinearizable(writes + [call(1, get, 5...6, .entries([entry(1, 1)]))]))
        #expect(isLinearizable(writes + [call(1, get, 3...6, .entries([entry(1, 1)]))]))
    }

    @Test("reads that show two writes in two orders are not linearizable")
    func divergentReads() {
        let writes = [call(0, put(1), 1...10, committed(1)), call(1, put(2), 1...10, committed(2))]
        let later = call(2, get, 2...3, .entries([entry(2, 2)]))
        let earlier = call(2, get, 4...5, .entries([entry(1, 1)]))
        #expect(!isLinearizable(writes + [later, earlier]))
    }

    @Test("two claims of one record are not linearizable")
    func doubleClaim() {
        let queue: QueueName = "q"
        let enqueue = call(
            0,
            .enqueue([NewRecord(queue: queue, id: "r", payload: [])]),
            1...2,
            .enqueued([.enqueued])
        )
        func claim(_ client: Int, _ span: ClosedRange<Int>, token: UInt64?) -> HistoryCall {
            let claims = token.map { token in
                RecordClaim(
                    queue: queue,
                    id: "r",
                    payload: [],
                    attempt: 1,
                    token: StoreVersion(rawValue: token),
                    wasAbandoned: false
                )
            }
            return call(
                client,
                .claim(queue, limit: 1, lease: .seconds(1)),
                span,
                .claimed(claims.map { [$0] } ?? [])
            )
        }
        #expect(isLinearizable([enqueue, claim(1, 3...6, token: 2), claim(2, 4...5, token: nil)]))
        #expect(!isLinearizable([enqueue, claim(1, 3...6, token: 2), claim(2, 4...5, token: 2)]))
        #expect(!isLinearizable([enqueue, claim(1, 3...6, token: 2), claim(2, 4...5, token: 3)]))
        #expect(!isLinearizable([enqueue, claim(1, 3...4, token: nil)]))
    }

    @Test("a write of unknown outcome happened or not, but not both")
    func unknownOutcome() {
        let write = call(0, put(1), 1...2, .rejected(.unknownOutcome))
        let seen = call(1, get, 3...4, .entries([entry(1, 1)]))
        let unseen = call(1, get, 5...6, .entries([nil]))
        #expect(isLinearizable([write, seen]))
        #expect(isLinearizable([write, unseen]))
        // The write was read and later did not happen.
        #expect(!isLinearizable([write, seen, unseen]))
        // The write may take effect long after its answer.
        #expect(
            isLinearizable([write, call(1, get, 3...4, .entries([nil])), call(1, get, 5...6, .entries([entry(1, 1)]))])
        )
    }

    @Test("a write of unknown outcome does not take effect after a reopening")
    func unknownOutcomeAfterReopening() {
        let write = call(0, put(1), 1...2, .rejected(.unknownOutcome))
        let answer = StoreAnswer.counts(RecordCounts(pending: 0, deadLetters: 0))
        let opening = HistoryCall(
            client: -1,
            .reopening(nextVersion: 1000),
            now: someday,
            invoked: 3,
            responded: 4,
            answer
        )
        let unseen = call(1, get, 5...6, .entries([nil]))
        let seen = call(1, get, 7...8, .entries([entry(1, 1)]))
        #expect(isLinearizable([write, opening, unseen]))
        #expect(isLinearizable([write, opening, seen]))
        #expect(!isLinearizable([write, opening, unseen, seen]))
        // A version is not issued twice.
        #expect(!isLinearizable([write, opening, call(1, put(2), 5...6, committed(1))]))
    }

    @Test("a cancelled write did not happen")
    func cancelled() {
        let write = call(0, put(1), 1...2, .rejected(.cancelled))
        #expect(isLinearizable([write, call(1, get, 3...4, .entries([nil]))]))
        #expect(!isLinearizable([write, call(1, get, 3...4, .entries([entry(1, 1)]))]))
    }
}
