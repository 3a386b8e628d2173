import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Outbox

@Suite("ClaimBatch")
struct ClaimBatchTests {
    @Test("a claim that is delivered alone excludes all other deliveries of its batch")
    func isolation() {
        func claim(_ id: Int, attempt: Int, _ wasAbandoned: Bool) -> RecordClaim {
            RecordClaim(
                queue: "q",
                id: "\(id)",
                payload: [],
                attempt: attempt,
                token: StoreVersion(rawValue: 1),
                wasAbandoned: wasAbandoned
            )
        }
        // Each of three claims is ordinary, or unsettled after 1, 3 or 5 attempts, or beyond its last attempt.
        let kinds = [(1, false), (3, false), (2, true), (4, true), (6, true), (9, true)]
        for first in kinds {
            for second in kinds {
                for third in kinds {
                    let claims = [first, second, third].enumerated().map { claim($0, attempt: $1.0, $1.1) }
                    let plan = ClaimBatch(claims, maxAttempts: 8, uptime: .seconds(3)) { .seconds($0) }
                    let all = plan.deliveries + (plan.alone.map { [$0] } ?? []) + plan.givenBack.map(\.claim)
                    #expect(Set(all) == Set(claims) && all.count == 3)
                    let ready = claims.filter { $0.wasAbandoned && $0.attempt <= 4 }
                    #expect(plan.alone == ready.first)
                    if plan.alone != nil { #expect(plan.deliveries.isEmpty) }
                    #expect(plan.deliveries.allSatisfy { !$0.wasAbandoned || $0.attempt > 8 })
                    for back in plan.givenBack {
                        let isEarly = back.claim.wasAbandoned && back.claim.attempt == 6
                        #expect(back.wait == (isEarly ? .seconds(2) : .zero))
                        let isHeldBack = back.settlement.action == .holdBack(back.wait)
                        #expect(isHeldBack == back.claim.wasAbandoned)
                    }
                }
            }
        }
    }
}
