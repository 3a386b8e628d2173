internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let settleChecks = [
        Check("settle.done", "a completed record is removed and cannot be completed again", needs: [.records], done),
        Check(
            "settle.stale",
            "a settlement with an outdated token changes nothing and reports that it is stale",
            needs: [.records],
            staleToken
        ),
        Check(
            "settle.retry",
            "a retry is due after its wait, has a new token, and counts its attempt or not",
            needs: [.records],
            retry
        ),
        Check(
            "settle.holdBack",
            "a held-back record is due after its wait, counts no attempt, and counts as abandoned",
            needs: [.records],
            holdBack
        ),
        Check("settle.extend", "an extension counts from now and keeps the token", needs: [.records], extend),
        Check(
            "settle.dead",
            "a dead letter cannot be claimed until a redrive, which resets its attempts",
            needs: [.records],
            dead
        ),
        Check(
            "settle.several",
            "each of several settlements is decided separately, and a record that appears twice is rejected",
            needs: [.records],
            several
        ),
        Check(
            "settle.race",
            "of a late settlement and a new claim, exactly one succeeds",
            needs: [.records],
            settleRace
        ),
        Check(
            "settle.reason",
            "a dead letter keeps the first 1,024 bytes of its reason, without a partial character",
            needs: [.records],
            deadReasons
        ),
    ]

    private static func claimOne(_ run: ConformanceRun, lease: Duration = .seconds(3600)) async throws -> RecordClaim {
        let claims = try await run.recordStore().claim(queue, limit: 1, lease: lease)
        guard let claim = claims.first else { throw run.violation("a due record was not claimed") }
        return claim
    }

    private static func done(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a"), record("b")])
        let claim = try await claimOne(run)
        try run.expect(try await store.settle([Settlement(claim, .done)]), is: [.settled], "the settlement of a record")
        try run.expect(
            try await store.settle([Settlement(claim, .done)]),
            is: [.stale],
            "the second settlement of a record"
        )
        try run.expect(try await all(run).map(\.id), is: [claim.id == "a" ? "b" : "a"], "the remaining records")
        // A record that is enqueued again has a new token.
        _ = try await store.enqueue([record(claim.id)])
        try run.expect(try await store.settle([Settlement(claim, .done)]), is: [.stale], "an earlier record's token")
        try run.expect(try await all(run).count, is: 2, "the number of records after a stale settlement")
    }

    private static func staleToken(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        let late = try await claimOne(run, lease: .milliseconds(10))
        try await run.advance(.milliseconds(11))
        let owner = try await claimOne(run)
        try run.expect(owner.token > late.token, "a second claim has no later token")
        let before = try await all(run)
        let actions: [Settlement.Action] = [
            .done, .retry(after: .zero, countsAttempt: true), .retry(after: .zero, countsAttempt: false),
            .holdBack(.zero), .extend(.seconds(7200)), .extend(.milliseconds(1)), .deadLetter(reason: "late"), .redrive,
        ]
        for action in actions {
            let tokens = [late.token, StoreVersion(rawValue: owner.token.rawValue &+ 1), StoreVersion(rawValue: 0)]
            for token in tokens {
                let settlement = Settlement(queue: queue, id: "a", token: token, action)
                try run.expect(try await store.settle([settlement]), is: [.stale], "\(action) with a stale token")
                try run.expect(try await all(run), is: before, "the record after \(action) with a stale token")
            }
            let elsewhere = Settlement(queue: "other", id: "a", token: owner.token, action)
            try run.expect(try await store.settle([elsewhere]), is: [.stale], "\(action) in another queue")
            let unknown = Settlement(queue: queue, id: "A", token: owner.token, action)
            try run.expect(try await store.settle([unknown]), is: [.stale], "\(action) of another record")
        }
        // None of the settlements shortened or prolonged the lease.
        try run.expect(
            try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
            is: 0,
            "the number of claims of a held record"
        )
        try run.expect(try await store.settle([Settlement(owner, .done)]), is: [.settled], "the owner's settlement")
    }

    private static func retry(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        for (countsAttempt, next) in [(true, 2), (false, 2), (true, 3)] {
            let claim = try await claimOne(run)
            let settlement = Settlement(claim, .retry(after: .seconds(2), countsAttempt: countsAttempt))
            try run.expect(try await store.settle([settlement]), is: [.settled], "a retry")
            try run.expect(try await store.settle([settlement]), is: [.stale], "a second retry with the same token")
            let info = try await all(run).first
            try run.expect(info?.isLeased, is: false, "isLeased of a record that waits for a retry")
            try run.expect(info?.attempts, is: next - 1, "the attempts of a record that waits for a retry")
            if run.isExact {
                let due = try await store.nextDue(queue) ?? .zero
                try run.expect(due >= .seconds(2) && due < .milliseconds(2001), "a retry after 2 s is due in \(due)")
                try await run.advance(due - .nanoseconds(1))
                let early = try await store.claim(queue, limit: 1, lease: .seconds(1))
                try run.expect(early.count, is: 0, "the number of claims one nanosecond before a retry")
                try await run.advance(.nanoseconds(1))
            } else {
                try await run.advance(.milliseconds(2002))
            }
            let again = try await claimOne(run)
            try run.expect(again.attempt, is: next, "the attempt after a retry with countsAttempt \(countsAttempt)")
            try run.expect(again.token > claim.token, "a claim after a retry has no later token")
            let now = Settlement(again, .retry(after: .zero, countsAttempt: false))
            try run.expect(try await store.settle([now]), is: [.settled], "a retry without a wait")
        }
    }

    private static func holdBack(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        var claim = try await claimOne(run)
        for wait in [Duration.seconds(2), .zero, .seconds(-1), .seconds(2)] {
            let settlement = Settlement(claim, .holdBack(wait))
            try run.expect(try await store.settle([settlement]), is: [.settled], "a hold-back")
            try run.expect(
                try await store.settle([settlement]),
                is: [.stale],
                "a second hold-back with the same token"
            )
            let info = try await all(run).first
            try run.expect(info?.attempts, is: 0, "the attempts of a held-back record")
            if wait > .zero {
                try run.expect(info?.isLeased, is: true, "isLeased of a held-back record")
                let early = try await store.claim(queue, limit: 1, lease: .seconds(1))
                try run.expect(early.count, is: 0, "the number of claims of a held-back record")
                try await run.advance(.milliseconds(2002))
            }
            let again = try await claimOne(run)
            try run.expect(again.attempt, is: 1, "the attempt after a hold-back for \(wait)")
            try run.expect(again.wasAbandoned, "a held-back record does not count as abandoned")
            try run.expect(again.token > claim.token, "a claim after a hold-back has no later token")
            claim = again
        }
    }

    private static func extend(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        let claim = try await claimOne(run, lease: .seconds(2))
        for _ in 0..<4 {
            try await run.advance(.seconds(1))
            let result = try await store.settle([Settlement(claim, .extend(.seconds(2)))])
            try run.expect(result, is: [.settled], "an extension")
            try run.expect(
                try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
                is: 0,
                "the number of claims of a held record"
            )
            let info = try await all(run).first
            try run.expect(info?.version, is: claim.token, "the token after an extension")
            try run.expect(info?.isLeased, is: true, "isLeased after an extension")
            if run.isExact {
                let due = try await store.nextDue(queue) ?? .zero
                try run.expect(due >= .seconds(2) && due < .milliseconds(2001), "an extension by 2 s ends in \(due)")
            }
        }
        // If time does not stand still, a call to a busy server may take longer than 10 ms.
        let lease = run.isExact ? Duration.milliseconds(10) : .milliseconds(500)
        _ = try await store.settle([Settlement(claim, .extend(lease))])
        try await run.advance(lease + .milliseconds(1))
        // No other claim was made, so the token is still valid.
        _ = try await store.settle([Settlement(claim, .extend(lease))])
        try run.expect(
            try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
            is: 0,
            "the number of claims of a held record"
        )
        try await run.advance(lease + .milliseconds(1))
        let second = try await claimOne(run)
        try run.expect(second.attempt, is: 2, "the attempt after an extended lease")
        let late = try await store.settle([Settlement(claim, .extend(.seconds(2)))])
        try run.expect(late, is: [.stale], "an extension after another claim")
    }

    private static func dead(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        var claim = try await claimOne(run)
        _ = try await store.settle([Settlement(claim, .retry(after: .zero, countsAttempt: true))])
        claim = try await claimOne(run)
        let alive = Settlement(claim, .redrive)
        try run.expect(
            try await store.settle([alive]),
            is: [.stale],
            "the redrive of a record that is not a dead letter"
        )
        let reason = "the last error: \u{1F4A5}"
        let settled = try await store.settle([Settlement(claim, .deadLetter(reason: reason))])
        try run.expect(settled, is: [.settled], "the dead-lettering of a record")
        try await run.advance(.seconds(10))
        try run.expect(
            try await store.claim(queue, limit: 9, lease: .seconds(1)).count,
            is: 0,
            "the number of claims of a dead letter"
        )
        guard let info = try await all(run).first else { throw run.violation("a dead letter is on no page") }
        try run.expect(info.deadLetterReason, is: reason, "the reason of a dead letter")
        try run.expect(info.attempts, is: 2, "the attempts of a dead letter")
        try run.expect(info.version > claim.token, "a dead letter has no later version than its claim")
        for action in [
            Settlement.Action.retry(after: .zero, countsAttempt: true), .holdBack(.zero), .extend(.seconds(1)),
            .deadLetter(reason: "again"),
        ] {
            let settlement = Settlement(queue: queue, id: "a", token: info.version, action)
            try run.expect(try await store.settle([settlement]), is: [.stale], "\(action) of a dead letter")
        }
        let stale = Settlement(claim, .redrive)
        try run.expect(try await store.settle([stale]), is: [.stale], "a redrive with the claim's token")
        try run.expect(try await all(run), is: [info], "the dead letter after stale settlements")
        let redrive = Settlement(queue: queue, id: "a", token: info.version, .redrive)
        try run.expect(try await store.settle([redrive]), is: [.settled], "a redrive")
        try run.expect(try await store.settle([redrive]), is: [.stale], "a second redrive")
        let again = try await claimOne(run)
        try run.expect(again.attempt, is: 1, "the attempt after a redrive")
        try run.expect(again.payload, is: record("a").payload, "the payload after a redrive")
        try run.expect(again.token > info.version, "a claim after a redrive has no later token")
    }

    private static func several(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue((0..<4).map { record("\($0)") })
        let claims = try await store.claim(queue, limit: 4, lease: .seconds(3600)).sorted { $0.id < $1.id }
        try run.expect(claims.count, is: 4, "the number of claims")
        let before = try await all(run)
        try await run.rejected("a call to settle with a duplicate record") {
            try await store.settle([
                Settlement(claims[0], .done), Settlement(claims[1], .done),
                Settlement(claims[1], .extend(.seconds(1))),
            ])
        }
        try run.expect(try await all(run), is: before, "the records after a rejected call")
        let unknown = StoreVersion(rawValue: claims[1].token.rawValue &+ 1000)
        let results = try await store.settle([
            Settlement(claims[0], .done), Settlement(queue: queue, id: "1", token: unknown, .done),
            Settlement(claims[2], .deadLetter(reason: "broken")),
            Settlement(claims[3], .retry(after: .seconds(60), countsAttempt: true)),
        ])
        try run.expect(results, is: [.settled, .stale, .settled, .settled], "four settlements, one of them stale")
        try run.expect(try await all(run).map(\.id), is: ["1", "3", "2"], "the records after four settlements")
        try run.expect(try await store.settle([]), is: [], "the results for no settlements")
        // The same id in two queues means two records.
        _ = try await store.enqueue([record("1", in: "other")])
        let elsewhere = try await store.claim("other", limit: 1, lease: .seconds(60))
        let both = try await store.settle(elsewhere.map { Settlement($0, .done) } + [Settlement(claims[1], .done)])
        try run.expect(both, is: [.settled, .settled], "the settlements of the same id in two queues")
    }

    private static func settleRace(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        for round in 0..<50 {
            let id = "\(round)"
            _ = try await store.enqueue([record(id)])
            let late = try await claimOne(run, lease: .milliseconds(1))
            try await run.advance(.milliseconds(2))
            async let settlement = store.settle([Settlement(late, .done)])
            async let claims = store.claim(queue, limit: 1, lease: .seconds(3600))
            let (settled, claimed) = try await (settlement, claims)
            try run.expect(
                settled == [.settled],
                is: claimed.isEmpty,
                "the success of the late settlement, compared with the absence of a claim"
            )
            if let owner = claimed.first {
                try run.expect(
                    try await store.settle([Settlement(owner, .done)]),
                    is: [.settled],
                    "the new owner's settlement"
                )
            }
            try run.expect(try await all(run).count, is: 0, "the number of records after the settlement")
        }
    }

    private static func deadReasons(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let reasons = [
            "", "broken", "line\nline\0\u{1F4A5} \"it's\" \\", String(repeating: "r", count: 1024),
            String(repeating: "r", count: 1025), String(repeating: "r", count: 100_000),
        ]
        // A character that does not fit completely is left out.
        let cut = (1020...1024).map { String(repeating: "r", count: $0) + "\u{1F4A5}\u{E9}" }
        for (number, reason) in (reasons + cut).enumerated() {
            let queue = QueueName("\(number)")
            _ = try await store.enqueue([record("a", in: queue)])
            let claims = try await store.claim(queue, limit: 1, lease: .seconds(60))
            let results = try await store.settle(claims.map { Settlement($0, .deadLetter(reason: reason)) })
            try run.expect(
                results,
                is: [.settled],
                "the dead-lettering of a record with a reason of \(reason.utf8.count) bytes"
            )
            guard
                let stored = try await store.page(queue, .deadLetter, after: nil, limit: 1).records.first?
                    .deadLetterReason
            else {
                throw run.violation("a dead letter or its reason of \(reason.utf8.count) bytes is on no page")
            }
            let least = reason.utf8.count <= 1024 ? reason.utf8.count : 1021
            try run.expect(
                (least...1024).contains(stored.utf8.count) && reason.utf8.starts(with: stored.utf8),
                "of a reason of \(reason.utf8.count) bytes, \(stored.utf8.count) are kept: …\(stored.suffix(10))"
            )
        }
    }
}
