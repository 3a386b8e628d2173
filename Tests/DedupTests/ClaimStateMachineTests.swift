import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Dedup

@Suite("ClaimStateMachine")
struct ClaimStateMachineTests {
    @Test(
        "every sequence of answers to a claim ends with the right decision",
        arguments: [true, false],
        [true, false]
    )
    func exhaustive(replays: Bool, isSingleOwner: Bool) {
        let claim = StoredClaim(
            state: .inProgress,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: ClaimFixture.digest
        )
        func explore(_ attempt: ClaimStateMachine, _ action: ClaimStateMachine.Action, depth: Int) {
            guard case .put(let condition) = action, depth < 2 else { return }
            for answer in ClaimFixture.answers {
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
                    guard let found = StoredClaim(entry.value) else {
                        #expect(after == .reject(.unreadable))
                        continue
                    }
                    if found.id == ClaimFixture.mine {
                        #expect(after == .own(entry.version, isTakeover: condition != .absent))
                    } else if let digest = found.digest, digest != ClaimFixture.digest {
                        #expect(after == .reject(.mismatch))
                    } else if found.state == .inProgress, isSingleOwner, entry.version < ClaimFixture.openedAt,
                        found.id != ClaimFixture.live
                    {
                        #expect(after == .put(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    } else if found.state == .inProgress, entry.remaining == .seconds(5), found.id != ClaimFixture.live
                    {
                        // The lease has ended.
                        #expect(after == .put(if: .version(entry.version)))
                        explore(next, after, depth: depth + 1)
                    } else if found.state == .inProgress {
                        let isShort = entry.remaining == .milliseconds(5500)
                        #expect(after == .reject(.inProgress(retryAfter: isShort ? .milliseconds(500) : .seconds(1))))
                    } else if found.state == .done, replays {
                        #expect(after == .replay([42]))
                    } else if replays {
                        #expect(after == .reject(.resultNotKept))
                    } else {
                        #expect(after == .reject(.duplicate(remaining: entry.remaining)))
                    }
                }
            }
        }
        let attempt = ClaimStateMachine(
            record: claim,
            mode: replays ? .replay(retention: nil) : .reject(),
            openedAt: isSingleOwner ? ClaimFixture.openedAt : nil,
            isLocal: { $0 == ClaimFixture.live }
        )
        explore(attempt, attempt.first, depth: 0)
    }

    @Test("a claim is abandoned after eight attempts")
    func bounded() {
        let claim = StoredClaim(
            state: .inProgress,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: nil
        )
        var attempt = ClaimStateMachine(record: claim, mode: .reject(), openedAt: nil, isLocal: { _ in false })
        var rounds = 1
        while attempt.conflicted(with: nil) != .giveUp { rounds += 1 }
        #expect(rounds == 8)
    }
}
