import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Dedup

@Suite("ClaimAttempt and SettleAttempt")
struct ClaimAttemptTests {
    private static let mine = ClaimID.random()
    private static let other = ClaimID.random()
    /// Another claim, whose holder lives in this process.
    private static let live = ClaimID.random()
    private static let memory: UInt64 = 5000
    private static let digest = [UInt8](repeating: 7, count: 32)
    private static let openedAt = StoreVersion(rawValue: 100)

    /// Everything that a store can answer to a conditional write.
    private enum Answer {
        case committed
        case conflict(StoreEntry?)
        case failed(StoreError.Reason)
    }

    private static let entries: [StoreEntry] = {
        var entries = [StoreEntry(value: [1, 2, 3], version: StoreVersion(rawValue: 100), remaining: nil)]
        for state in [DedupRecord.State.inProgress, .done, .doneWithoutResult] {
            for id in [mine, other, live] {
                for digest in [nil, digest, [UInt8](repeating: 8, count: 32)] {
                    var record = DedupRecord(state: state, id: id, memory: memory, digest: digest)
                    if state == .done { record.result = [42] }
                    for version in [99, 100] as [UInt64] {
                        let version = StoreVersion(rawValue: version)
                        for remaining in [nil, .seconds(9), .milliseconds(5500), .seconds(5)] as [Duration?] {
                            entries.append(StoreEntry(value: record.bytes, version: version, remaining: remaining))
                        }
                    }
                }
            }
        }
        return entries
    }()

    private static let answers: [Answer] =
        [.committed, .conflict(nil), .failed(.unavailable), .failed(.unknownOutcome), .failed(.cancelled)]
        + entries.map { .conflict($0) }

    @Test("every sequence of answers to a claim ends, and ends rightly", arguments: [true, false], [true, false])
    func claims(replays: Bool, isSingleOwner: Bool) {
        let claim = DedupRecord(state: .inProgress, id: Self.mine, memory: Self.memory, digest: Self.digest)
        func explore(_ attempt: ClaimAttempt, _ action: ClaimAttempt.Action, depth: Int) {
            guard case .put(let condition) = action, depth < 2 else { return }
            for answer in Self.answers {
                var next = attempt
                switch answer {
                case .committed:
                    let token = StoreVersion(rawValue: 200)
                    #expect(next.committed(token) == .own(token, isTakeover: condition != .absent))
                case .failed(.unknownOutcome):
                    let after = next.failed(StoreError(.unknownOutcome, ""))
                    #expect(next.mayHaveClaimed)
                    #expect(after == .put(if: condition))
                    explore(next, after, depth: depth + 1)
                case .failed(let reason):
                    #expect(next.failed(StoreError(reason, "")) == .giveUp)
                case .conflict(nil):
                    let after = next.conflicted(with: nil)
                    #expect(after == .put(if: .absent))
                    explore(next, after, depth: depth + 1)
                case .conflict(let entry?):
                    let after = next.conflicted(with: entry)
                    guard let found = DedupRecord(entry.value) else {
                        #expect(after == .refuse(.unreadable))
                        continue
                    }
                    if found.id == Self.mine {
                        #expect(after == .own(entry.version, isTakeover: condition != .absent))
                    } else if let digest = found.digest, digest != Self.digest {
                        #expect(after == .refuse(.mismatch))
                    } else if found.state == .inProgress, isSingleOwner, entry.version < Self.openedAt,
                        found.id != Self.live
                    {
                        #expect(after == .put(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    } else if found.state == .inProgress, entry.remaining == .seconds(5), found.id != Self.live {
                        // Its lease is over.
                        #expect(after == .put(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    } else if found.state == .inProgress {
                        let isShort = entry.remaining == .milliseconds(5500)
                        #expect(after == .refuse(.inProgress(retryAfter: isShort ? .milliseconds(500) : .seconds(1))))
                    } else if found.state == .done, replays {
                        #expect(after == .replay([42]))
                    } else if replays {
                        #expect(after == .refuse(.resultNotKept))
                    } else {
                        #expect(after == .refuse(.duplicate(remaining: entry.remaining)))
                    }
                }
            }
        }
        let attempt = ClaimAttempt(
            record: claim,
            mode: replays ? .replay(retention: nil) : .refuse(),
            openedAt: isSingleOwner ? Self.openedAt : nil,
            isLive: { $0 == Self.live }
        )
        explore(attempt, attempt.first, depth: 0)
    }

    @Test("a key that changes hands without end is given up")
    func boundedClaim() {
        let claim = DedupRecord(state: .inProgress, id: Self.mine, memory: Self.memory, digest: nil)
        var attempt = ClaimAttempt(record: claim, mode: .refuse(), openedAt: nil, isLive: { _ in false })
        var rounds = 1
        while attempt.conflicted(with: nil) != .giveUp { rounds += 1 }
        #expect(rounds == 8)
    }

    @Test(
        "every sequence of answers to a settlement makes only conditional writes, and never touches another's record",
        arguments: [true, false],
        [true, false]
    )
    func settlements(keeps: Bool, isOption: Bool) {
        let (canMark, isTakeover) = (isOption, isOption)
        let token = StoreVersion(rawValue: 150)
        let claim = DedupRecord(state: .inProgress, id: Self.mine, memory: Self.memory, digest: Self.digest)
        var done = DedupRecord(state: .done, id: Self.mine, memory: Self.memory, digest: Self.digest)
        done.result = [42]
        var mark = claim
        mark.state = .doneWithoutResult
        let key = StoreKey("test", "key")
        let reasons: [StoreError.Reason] = [.unavailable, .unknownOutcome, .capacityExceeded, .diskFull, .invalid]
        func explore(_ attempt: SettleAttempt, isMarking: Bool, wasUnknown: Bool, depth: Int) {
            if depth == 2 { return }
            let condition: Precondition
            switch attempt.write(key) {
            case .put(_, let bytes, .never, let precondition) where keeps:
                #expect(bytes == (isMarking ? mark : done).bytes)
                condition = precondition
            case .delete(_, let precondition) where !keeps && !isTakeover: condition = precondition
            case .touch(_, .after(.milliseconds(4999)), let precondition) where !keeps && isTakeover:
                condition = precondition
            default: return #expect(Bool(false), "\(attempt.write(key))")
            }
            #expect(condition != .any && condition != .present)
            switch attempt.committed(StoreVersion(rawValue: 300)) {
            case .marked(let version, _): #expect(isMarking && version == StoreVersion(rawValue: 300))
            case .settled: #expect(!isMarking)
            case .lost: Issue.record("lost although committed")
            }
            for reason in reasons {
                var next = attempt
                let isNext = next.failed(StoreError(reason, ""))
                let isRefusal = reason != .unavailable && reason != .unknownOutcome
                #expect(isNext == (keeps && canMark && isRefusal && !isMarking))
                let isStillMarking = isRefusal ? isNext : isMarking
                let isUnknown = wasUnknown || (reason == .unknownOutcome && !keeps)
                explore(next, isMarking: isStillMarking, wasUnknown: isUnknown, depth: depth + 1)
            }
            var next = attempt
            if let answer = next.conflicted(with: nil) {
                #expect(!keeps)
                guard case .settled = answer else { return #expect(Bool(false), "\(answer)") }
            } else {
                explore(next, isMarking: isMarking, wasUnknown: wasUnknown, depth: depth + 1)
            }
            let own = [done, mark].map { StoreEntry(value: $0.bytes, version: token, remaining: nil) }
            for entry in Self.entries + own {
                var next = attempt
                let found = DedupRecord(entry.value)
                switch next.conflicted(with: entry) {
                case .lost?: #expect(found?.id != Self.mine && !wasUnknown)
                case .settled?: #expect(found == done && keeps || found?.id != Self.mine && wasUnknown)
                case .marked(let version, _)?: #expect(found == mark && isMarking && version == entry.version)
                case nil:
                    #expect(found?.id == Self.mine)
                    explore(next, isMarking: isMarking, wasUnknown: wasUnknown, depth: depth + 1)
                }
            }
        }
        let attempt =
            keeps
            ? SettleAttempt(token: token, record: done, expiry: .never, canMark: canMark)
            : SettleAttempt(releasing: claim, token: token, isTakeover: isTakeover)
        explore(attempt, isMarking: false, wasUnknown: false, depth: 0)
    }

    @Test("the mark that an operation ran is as large as its claim", arguments: [nil, digest])
    func markSize(digest: [UInt8]?) {
        let claim = DedupRecord(state: .inProgress, id: Self.mine, memory: Self.memory, digest: digest)
        var done = DedupRecord(state: .done, id: Self.mine, memory: Self.memory, digest: digest)
        done.result = [UInt8](repeating: 1, count: 1000)
        #expect(done.mark?.bytes.count == claim.bytes.count)
        #expect(done.mark?.mark == nil)
    }

    @Test("a record survives being written and read")
    func roundTrip() {
        for entry in Self.entries.dropFirst() {
            #expect(DedupRecord(entry.value)?.bytes == entry.value)
        }
    }

    @Test("no bytes whatever stop the reader, and what it reads it writes the same")
    func hostileRecords() {
        for length in 0..<70 {
            for first in [0, 1, 2, 3, 255] as [UInt8] {
                for state in [0, 1, 3, 4] as [UInt8] {
                    for hasDigest in [0, 1, 2] as [UInt8] {
                        let bytes = Array(
                            ([first, state, hasDigest] + [UInt8](repeating: 5, count: 67)).prefix(length)
                        )
                        if let record = DedupRecord(bytes) { #expect(record.bytes == bytes) }
                    }
                }
            }
        }
    }
}
