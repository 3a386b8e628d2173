import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Dedup

@Suite("ClaimAttempt and SettleAttempt")
struct ClaimAttemptTests {
    private static let mine = [UInt8](repeating: 1, count: 16)
    private static let other = [UInt8](repeating: 2, count: 16)
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
            for nonce in [mine, other] {
                for digest in [nil, digest, [UInt8](repeating: 8, count: 32)] {
                    var record = DedupRecord(state: state, nonce: nonce, digest: digest)
                    if state == .done { record.result = [42] }
                    for version in [99, 100] as [UInt64] {
                        let version = StoreVersion(rawValue: version)
                        entries.append(StoreEntry(value: record.bytes, version: version, remaining: .seconds(9)))
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
        let claim = DedupRecord(state: .inProgress, nonce: Self.mine, digest: Self.digest)
        func explore(_ attempt: ClaimAttempt, _ action: ClaimAttempt.Action, depth: Int) {
            guard case .put(let condition) = action, depth < 4 else { return }
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
                    if found.nonce == Self.mine {
                        #expect(after == .own(entry.version, isTakeover: condition != .absent))
                    } else if let digest = found.digest, digest != Self.digest {
                        #expect(after == .refuse(.mismatch))
                    } else if found.state == .inProgress, isSingleOwner, entry.version < Self.openedAt {
                        #expect(after == .put(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    } else if found.state == .inProgress {
                        #expect(after == .refuse(.inProgress(retryAfter: .seconds(1))))
                    } else if found.state == .done, replays {
                        #expect(after == .replay([42]))
                    } else {
                        #expect(after == .refuse(.duplicate(remaining: .seconds(9))))
                    }
                }
            }
        }
        let attempt = ClaimAttempt(
            record: claim,
            mode: replays ? .replay(retention: nil) : .refuse(),
            openedAt: isSingleOwner ? Self.openedAt : nil
        )
        explore(attempt, attempt.first, depth: 0)
    }

    @Test("a key that changes hands without end is given up")
    func boundedClaim() {
        let claim = DedupRecord(state: .inProgress, nonce: Self.mine, digest: nil)
        var attempt = ClaimAttempt(record: claim, mode: .refuse(), openedAt: nil)
        var rounds = 1
        while attempt.conflicted(with: nil) != .giveUp { rounds += 1 }
        #expect(rounds == 8)
    }

    @Test(
        "every sequence of answers to a settlement ends, and never touches another's record",
        arguments: [true, false]
    )
    func settlements(keeps: Bool) {
        let token = StoreVersion(rawValue: 150)
        var done = DedupRecord(state: .done, nonce: Self.mine, digest: Self.digest)
        done.result = [42]
        let mineAgain = StoreEntry(value: done.bytes, version: StoreVersion(rawValue: 151), remaining: nil)
        func explore(_ attempt: SettleAttempt, _ action: SettleAttempt.Action, depth: Int) {
            guard case .write(let condition) = action else { return }
            #expect(depth < 4)
            #expect(condition != .any && condition != .present)
            for answer in [.conflict(nil), .failed(.unavailable), .conflict(mineAgain)]
                + Self.entries.map(Answer.conflict)
            {
                var next = attempt
                switch answer {
                case .conflict(nil):
                    let after = next.conflicted(with: nil)
                    if keeps {
                        #expect(after == .giveUp || after == .write(if: .absent))
                        explore(next, after, depth: depth + 1)
                    } else {
                        #expect(after == .settled)
                    }
                case .conflict(let entry?):
                    let after = next.conflicted(with: entry)
                    let found = DedupRecord(entry.value)
                    if found?.nonce != Self.mine {
                        #expect(after == .lost)
                    } else if keeps, found == done {
                        #expect(after == .settled)
                    } else {
                        #expect(after == .giveUp || after == .write(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    }
                case .failed, .committed:
                    let after = next.failed()
                    #expect(after == .giveUp || after == .write(if: .version(token)))
                    explore(next, after, depth: depth + 1)
                }
            }
        }
        let claim = DedupRecord(state: .inProgress, nonce: Self.mine, digest: Self.digest)
        let attempt =
            keeps
            ? SettleAttempt(token: token, record: done, expiry: .never) : SettleAttempt(releasing: claim, token: token)
        explore(attempt, attempt.first, depth: 0)
    }

    @Test("a record survives being written and read")
    func roundTrip() {
        for entry in Self.entries.dropFirst() {
            #expect(DedupRecord(entry.value)?.bytes == entry.value)
        }
    }

    @Test("no bytes whatever stop the reader, and what it reads it writes the same")
    func hostileRecords() {
        for length in 0..<60 {
            for first in [0, 1, 2, 255] as [UInt8] {
                for state in [0, 1, 3, 4] as [UInt8] {
                    for hasDigest in [0, 1, 2] as [UInt8] {
                        let bytes = Array(
                            ([first, state, hasDigest] + [UInt8](repeating: 5, count: 57)).prefix(length)
                        )
                        if let record = DedupRecord(bytes) { #expect(record.bytes == bytes) }
                    }
                }
            }
        }
    }
}
