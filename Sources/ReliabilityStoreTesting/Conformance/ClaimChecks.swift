internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let claimChecks = [
        Check(
            "claim.order",
            "records are claimed when they are due, in the order of their due times",
            needs: [.records],
            claimOrder
        ),
        Check(
            "claim.exclusive",
            "a claimed record goes to no other caller until its lease ends",
            needs: [.records],
            claimIsExclusive
        ),
        Check(
            "claim.boundary",
            "a lease lasts at least its time, and the record is due from the instant the lease ends",
            needs: [.records],
            leaseBoundary
        ),
        Check(
            "claim.attempts",
            "each claim counts as an attempt and has a later token",
            needs: [.records],
            attemptsCount
        ),
        Check(
            "claim.abandoned",
            "a claim reports whether the previous delivery was never settled",
            needs: [.records],
            abandonment
        ),
        Check(
            "claim.manyClaimers",
            "concurrent claimers get disjoint sets that together contain every record",
            needs: [.records],
            manyClaimers
        ),
    ]

    private static func claimOrder(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let delays = [5, 0, 3, 9, 1, 7]
        for delay in delays { _ = try await store.enqueue([record("\(delay)", delay: .seconds(delay))]) }
        var claims = try await store.claim(queue, limit: 9, lease: .seconds(3600))
        try run.expect(claims.map(\.id), is: ["0"], "the records that are due immediately")
        try await run.advance(.milliseconds(7001))
        claims = try await store.claim(queue, limit: 2, lease: .seconds(3600))
        try run.expect(claims.map(\.id), is: ["1", "3"], "the first two records due after 7 s")
        claims = try await store.claim(queue, limit: 9, lease: .seconds(3600))
        try run.expect(claims.map(\.id), is: ["5", "7"], "the other records due after 7 s")
        for claim in claims { try run.expect(claim.payload, is: record(claim.id).payload, "a payload") }
        try run.expect(
            try await store.claim("empty", limit: 9, lease: .seconds(1)).count,
            is: 0,
            "claims of an empty queue"
        )
    }

    private static func claimIsExclusive(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue((0..<10).map { record("\($0)") } + [record("0", in: "other")])
        var seen: [String] = []
        for limit in [3, 4, 9, 9] {
            let claims = try await store.claim(queue, limit: limit, lease: .seconds(3600))
            try run.expect(claims.count, is: min(limit, 10 - seen.count), "the number of claims")
            seen += claims.map(\.id)
        }
        try run.expect(seen.sorted(), is: (0..<10).map { "\($0)" }, "the ids claimed by four claimers")
        let elsewhere = try await store.claim("other", limit: 9, lease: .seconds(3600))
        try run.expect(elsewhere.count, is: 1, "the claims in another queue")
    }

    private static func leaseBoundary(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        for lease in [Duration.nanoseconds(1), .microseconds(1500), .milliseconds(10), .seconds(2)] {
            let id = "held for \(lease)"
            _ = try await store.enqueue([record(id)])
            guard let first = try await store.claim(queue, limit: 1, lease: lease).first else {
                throw run.violation("a due record was not claimed")
            }
            if run.isExact {
                let due = try await store.nextDue(queue) ?? .zero
                try run.expect(due >= lease && due < lease + .milliseconds(1), "a lease of \(lease) ends in \(due)")
                try await run.advance(due - .nanoseconds(1))
                let early = try await store.claim(queue, limit: 1, lease: .seconds(60))
                try run.expect(early.count, is: 0, "claims one nanosecond before a lease of \(lease) ends")
                try await run.advance(.nanoseconds(1))
            } else {
                try await run.advance(lease + .milliseconds(2))
            }
            guard let second = try await store.claim(queue, limit: 1, lease: .seconds(60)).first else {
                throw run.violation("a record was not claimed at the end of a lease of \(lease)")
            }
            try run.expect(second.id, is: id, "the record whose lease has ended")
            try run.expect(second.token > first.token, "a second claim has no later token")
            try run.expect(second.attempt, is: 2, "the attempt after a lease has ended")
            try run.expect(
                try await store.settle([Settlement(second, .done)]),
                is: [.settled],
                "the settlement of the second claim"
            )
        }
    }

    private static func attemptsCount(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        var token = StoreVersion(rawValue: 0)
        for attempt in 1...5 {
            guard let claim = try await store.claim(queue, limit: 1, lease: .milliseconds(10)).first else {
                throw run.violation("a record was not claimed for attempt \(attempt)")
            }
            try run.expect(claim.attempt, is: attempt, "the attempt")
            try run.expect(claim.token > token, "a token is not later than the token before")
            let info = try await all(run).first
            try run.expect(info?.version, is: claim.token, "the version of a claimed record")
            try run.expect(info?.attempts, is: attempt, "the attempts on a page")
            token = claim.token
            try await run.advance(.milliseconds(11))
        }
    }

    private static func abandonment(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        func claim(_ expected: Bool, attempt: Int, _ when: String) async throws -> RecordClaim {
            guard let claim = try await store.claim(queue, limit: 1, lease: .milliseconds(10)).first else {
                throw run.violation("a record was not claimed \(when)")
            }
            try run.expect(claim.wasAbandoned, is: expected, "wasAbandoned \(when)")
            try run.expect(claim.attempt, is: attempt, "the attempt \(when)")
            return claim
        }
        func settle(_ claim: RecordClaim, _ action: Settlement.Action) async throws {
            try run.expect(try await store.settle([Settlement(claim, action)]), is: [.settled], "\(action)")
        }
        _ = try await claim(false, attempt: 1, "for the first time")
        try await run.advance(.milliseconds(11))
        var held = try await claim(true, attempt: 2, "after its lease ended")
        try await settle(held, .extend(.milliseconds(20)))
        try await run.advance(.milliseconds(21))
        held = try await claim(true, attempt: 3, "after a lease that was extended")
        try await settle(held, .retry(after: .zero, countsAttempt: true))
        held = try await claim(false, attempt: 4, "after a retry")
        try await settle(held, .retry(after: .zero, countsAttempt: false))
        held = try await claim(false, attempt: 4, "after a retry that does not count")
        try await run.advance(.milliseconds(11))
        held = try await claim(true, attempt: 5, "after another lease ended")
        try await settle(held, .retry(after: .zero, countsAttempt: false))
        held = try await claim(false, attempt: 5, "after another retry that does not count")
        try await run.advance(.milliseconds(11))
        held = try await claim(true, attempt: 6, "after a third lease ended")
        try await settle(held, .deadLetter(reason: "broken"))
        for dead in try await all(run) {
            let redrive = Settlement(queue: queue, id: dead.id, token: dead.version, .redrive)
            try run.expect(try await store.settle([redrive]), is: [.settled], "a redrive")
        }
        _ = try await claim(false, attempt: 1, "after a redrive")
    }

    private static func manyClaimers(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let ids = (0..<300).map { "\($0)" }
        let most = min(100, store.capabilities.maxWrites)
        for start in stride(from: 0, to: ids.count, by: most) {
            _ = try await store.enqueue(ids[start..<min(start + most, ids.count)].map { record($0) })
        }
        let claims = try await withThrowingTaskGroup { group in
            for _ in 0..<32 {
                group.addTask {
                    var claims: [RecordClaim] = []
                    while claims.count <= ids.count {
                        let more = try await store.claim(queue, limit: 7, lease: .seconds(3600))
                        if more.isEmpty { break }
                        claims += more
                    }
                    return claims
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try run.expect(claims.map(\.id).sorted(), is: ids.sorted(), "the ids claimed by 32 claimers")
        try run.expect(Set(claims.map(\.token)).count, is: ids.count, "the number of different tokens")
    }
}
