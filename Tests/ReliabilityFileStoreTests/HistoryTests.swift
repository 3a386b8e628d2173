import Foundation
import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

/// Several tasks use a store at once, and one order of their calls explains all that they saw.
///
/// `RELIABILITY_HISTORIES` says how many runs there are, `RELIABILITY_SEED` which is the first.
@Suite struct HistoryTests {
    private static let count: UInt64 = {
        #if RELIABILITY_SANITIZE_THREAD
        let enough: UInt64 = 500
        #else
        // `StoreCheck histories` makes more of them, faster.
        let enough: UInt64 = 100
        #endif
        return ProcessInfo.processInfo.environment["RELIABILITY_HISTORIES"].flatMap { UInt64($0) } ?? enough
    }()

    // Two minutes for 500 of them under the thread sanitizer on one processor, and ten times that for a busy machine.
    @Test(.timeLimit(.minutes(20 + count / 25))) func `what several clients of a file store see has one order`() async {
        let count = Self.count
        let first = ProcessInfo.processInfo.environment["RELIABILITY_SEED"].flatMap { UInt64($0) } ?? 0
        // Two runs at once are enough to keep the machine busy.
        await withTaskGroup { group in
            for half in 0..<UInt64(2) {
                group.addTask {
                    for seed in stride(from: first + half, to: first + count, by: 2) {
                        guard let problem = await HistoryRun(seed: seed).verdict().problem else { continue }
                        Issue.record(
                            """
                            \(problem)
                            again, though not with the same timing:
                            RELIABILITY_HISTORIES=100 RELIABILITY_SEED=\(seed) swift test --filter HistoryTests
                            """
                        )
                        return
                    }
                }
            }
        }
    }

    // MARK: The checker can fail

    private func call(
        _ client: Int,
        _ operation: StoreOperation,
        _ span: ClosedRange<Int>,
        _ answer: StoreAnswer,
        now: Int64 = someday
    ) -> HistoryCall {
        let isUnknown = answer == .refused(.unknownOutcome)
        return HistoryCall(
            client: client,
            .operation(operation),
            now: now,
            invoked: span.lowerBound,
            responded: isUnknown ? .max : span.upperBound,
            answer
        )
    }

    private func put(_ value: UInt8, if condition: Precondition = .any) -> StoreOperation {
        .commit([.put(key("a"), [value], .never, if: condition)], [])
    }

    private func committed(_ version: UInt64) -> StoreAnswer {
        .commit(.committed([StoreVersion(rawValue: version)], records: []))
    }

    private func entry(_ value: UInt8, _ version: UInt64) -> StoreEntry {
        StoreEntry(value: [value], version: StoreVersion(rawValue: version), remaining: nil)
    }

    private var get: StoreOperation { .get([key("a")]) }

    private func isLinearizable(_ calls: [HistoryCall]) -> Bool {
        HistoryChecker(calls).check(from: ModelStore()) == .linearizable
    }

    @Test func `calls one after the other have their order`() {
        #expect(isLinearizable([]))
        #expect(isLinearizable([call(0, put(1), 1...2, committed(1)), call(0, get, 3...4, .entries([entry(1, 1)]))]))
    }

    @Test func `of calls at once, the one that began later may come first`() {
        #expect(
            isLinearizable([
                call(0, put(1), 1...10, committed(2)), call(1, put(2), 2...3, committed(1)),
                call(1, get, 4...5, .entries([entry(2, 1)])), call(2, get, 6...20, .entries([entry(1, 2)])),
            ])
        )
    }

    @Test func `a lost update has no order`() {
        let first = call(0, put(1), 1...2, committed(1))
        let condition = Precondition.version(StoreVersion(rawValue: 1))
        let one = call(0, put(2, if: condition), 3...6, committed(2))
        let other = call(1, put(3, if: condition), 4...5, committed(3))
        #expect(!isLinearizable([first, one, other]))
        let conflict = StoreAnswer.commit(.conflict(index: 0, current: entry(2, 2)))
        #expect(isLinearizable([first, one, call(1, put(3, if: condition), 4...5, conflict)]))
    }

    @Test func `a stale read has no order`() {
        let writes = [call(0, put(1), 1...2, committed(1)), call(0, put(2), 3...4, committed(2))]
        #expect(!isLinearizable(writes + [call(1, get, 5...6, .entries([entry(1, 1)]))]))
        #expect(isLinearizable(writes + [call(1, get, 3...6, .entries([entry(1, 1)]))]))
    }

    @Test func `reads that see two writes in two orders have no order`() {
        let writes = [call(0, put(1), 1...10, committed(1)), call(1, put(2), 1...10, committed(2))]
        let later = call(2, get, 2...3, .entries([entry(2, 2)]))
        let earlier = call(2, get, 4...5, .entries([entry(1, 1)]))
        #expect(!isLinearizable(writes + [later, earlier]))
    }

    @Test func `two winners of a claim have no order`() {
        let queue: RecordQueue = "q"
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

    @Test func `a write of unknown outcome happened or not, but not both`() {
        let write = call(0, put(1), 1...2, .refused(.unknownOutcome))
        let seen = call(1, get, 3...4, .entries([entry(1, 1)]))
        let unseen = call(1, get, 5...6, .entries([nil]))
        #expect(isLinearizable([write, seen]))
        #expect(isLinearizable([write, unseen]))
        // A read of a write that later did not happen.
        #expect(!isLinearizable([write, seen, unseen]))
        // It may take effect long after its caller was told.
        #expect(
            isLinearizable([write, call(1, get, 3...4, .entries([nil])), call(1, get, 5...6, .entries([entry(1, 1)]))])
        )
    }

    @Test func `a write of unknown outcome does not happen once the store was opened anew`() {
        let write = call(0, put(1), 1...2, .refused(.unknownOutcome))
        let answer = StoreAnswer.counts(RecordCounts(pending: 0, dead: 0))
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
        // Nor is a version issued twice.
        #expect(!isLinearizable([write, opening, call(1, put(2), 5...6, committed(1))]))
    }

    @Test func `a cancelled write did not happen`() {
        let write = call(0, put(1), 1...2, .refused(.cancelled))
        #expect(isLinearizable([write, call(1, get, 3...4, .entries([nil]))]))
        #expect(!isLinearizable([write, call(1, get, 3...4, .entries([entry(1, 1)]))]))
    }
}
