import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Dedup

@Suite("SettleStateMachine")
struct SettleStateMachineTests {
    @Test(
        "every sequence of answers makes only conditional writes to the claim's own record",
        arguments: [true, false],
        [true, false]
    )
    func exhaustive(keeps: Bool, isOption: Bool) {
        let (mayDropResult, isTakeover) = (isOption, isOption)
        let token = StoreVersion(rawValue: 150)
        let claim = StoredClaim(
            state: .inProgress,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: ClaimFixture.digest
        )
        var done = StoredClaim(
            state: .done,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: ClaimFixture.digest
        )
        done.result = [42]
        var withoutResult = claim
        withoutResult.state = .doneWithoutResult
        let key = StoreKey("test", "key")
        let reasons: [StoreError.Reason] = [.unavailable, .unknownOutcome, .capacityExceeded, .diskFull, .invalid]
        func explore(_ attempt: SettleStateMachine, dropsResult: Bool, wasUnknown: Bool, depth: Int) {
            if depth == 2 { return }
            let condition: WriteCondition
            switch attempt.write(key) {
            case .put(_, let bytes, .never, let precondition) where keeps:
                #expect(bytes == (dropsResult ? withoutResult : done).bytes)
                condition = precondition
            case .delete(_, let precondition) where !keeps && !isTakeover: condition = precondition
            case .touch(_, .after(.milliseconds(4999)), let precondition) where !keeps && isTakeover:
                condition = precondition
            default: return #expect(Bool(false), "\(attempt.write(key))")
            }
            #expect(condition != .any && condition != .present)
            switch attempt.committed(StoreVersion(rawValue: 300)) {
            case .settledWithoutResult(let version, _): #expect(dropsResult && version == StoreVersion(rawValue: 300))
            case .settled: #expect(!dropsResult)
            case .lost: Issue.record("lost although committed")
            }
            for reason in reasons {
                var next = attempt
                let isNext = next.failed(StoreError(reason, ""))
                let isRejection = reason != .unavailable && reason != .unknownOutcome
                #expect(isNext == (keeps && mayDropResult && isRejection && !dropsResult))
                let stillDropsResult = isRejection ? isNext : dropsResult
                let isUnknown = wasUnknown || (reason == .unknownOutcome && !keeps)
                explore(next, dropsResult: stillDropsResult, wasUnknown: isUnknown, depth: depth + 1)
            }
            var next = attempt
            if let answer = next.conflicted(with: nil) {
                #expect(!keeps)
                guard case .settled = answer else { return #expect(Bool(false), "\(answer)") }
            } else {
                explore(next, dropsResult: dropsResult, wasUnknown: wasUnknown, depth: depth + 1)
            }
            let own = [done, withoutResult].map { StoreEntry(value: $0.bytes, version: token, remaining: nil) }
            for entry in ClaimFixture.entries + own {
                var next = attempt
                let found = StoredClaim(entry.value)
                switch next.conflicted(with: entry) {
                case .lost?: #expect(found?.id != ClaimFixture.mine && !wasUnknown)
                case .settled?: #expect(found == done && keeps || found?.id != ClaimFixture.mine && wasUnknown)
                case .settledWithoutResult(let version, _)?:
                    #expect(found == withoutResult && dropsResult && version == entry.version)
                case nil:
                    #expect(found?.id == ClaimFixture.mine)
                    explore(next, dropsResult: dropsResult, wasUnknown: wasUnknown, depth: depth + 1)
                }
            }
        }
        let attempt =
            keeps
            ? SettleStateMachine(token: token, record: done, expiry: .never, mayDropResult: mayDropResult)
            : SettleStateMachine(releasing: claim, token: token, isTakeover: isTakeover)
        explore(attempt, dropsResult: false, wasUnknown: false, depth: 0)
    }
}
