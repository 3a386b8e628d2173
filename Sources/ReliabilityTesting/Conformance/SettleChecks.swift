internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let settleChecks = [
        Check("settle.done", "a record that is done is gone, and is not done twice", needs: [.records], done),
        Check(
            "settle.stale",
            "a settlement with an outdated token changes nothing and says so",
            needs: [.records],
            staleToken
        ),
        Check(
            "settle.retry",
            "a retry comes after its wait, under a new token, and counts its attempt or not",
            needs: [.records],
            retry
        ),
        Check(
            "settle.holdBack",
            "a record that is held back comes after its wait as it was claimed, and counts as abandoned",
            needs: [.records],
            holdBack
        ),
        Check("settle.extend", "an extension counts from now and keeps the token", needs: [.records], extend),
        Check(
            "settle.dead",
            "a dead record is handed out no more until it is redriven, and then as if new",
            needs: [.records],
            dead
        ),
        Check(
            "settle.several",
            "of several settlements each is judged alone; a record that appears twice is refused",
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
            "of the reason why a record is dead, its first 1,024 bytes are kept, whatever they are",
            needs: [.records],
            deadReasons
        ),
    ]

    private static func claimOne(_ run: ConformanceRun, lease: Duration = .seconds(3600)) async throws -> RecordClaim {
        let claims = try await run.recordStore().claim(queue, limit: 1, lease: lease)
        guard let claim = claims.first else { throw run.violation("a record that is due was not claimed") }
        return claim
    }

    private static func done(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a"), record("b")])
        let claim = try await claimOne(run)
        try run.expect(try await store.settle([Settlement(claim, .done)]), is: [.settled], "a record that is done")
        try run.expect(try await store.settle([Settlement(claim, .done)]), is: [.stale], "a record that is done twice")
        try run.expect(try await all(run).map(\.id), is: [claim.id == "a" ? "b" : "a"], "the records that are left")
        // The token of one incarnation is not the token of the next.
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
            .holdBack(.zero), .extend(.seconds(7200)), .extend(.milliseconds(1)), .dead(reason: "late"), .redrive,
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
            let nobody = Settlement(queue: queue, id: "A", token: owner.token, action)
            try run.expect(try await store.settle([nobody]), is: [.stale], "\(action) of another record")
        }
        // A lease that was neither shortened nor prolonged by any of it.
        try run.expect(
            try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
            is: 0,
            "claims of a held record"
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
            try run.expect(try await store.settle([settlement]), is: [.stale], "a retry with a token that was used")
            let info = try await all(run).first
            try run.expect(info?.isLeased, is: false, "whether a record is leased that waits for a retry")
            try run.expect(info?.attempts, is: next - 1, "the attempts of a record that waits for a retry")
            if run.isExact {
                let due = try await store.nextDue(queue) ?? .zero
                try run.expect(due >= .seconds(2) && due < .milliseconds(2001), "a retry after 2 s is due in \(due)")
                try await run.advance(due - .nanoseconds(1))
                let early = try await store.claim(queue, limit: 1, lease: .seconds(1))
                try run.expect(early.count, is: 0, "claims one nanosecond before a retry")
                try await run.advance(.nanoseconds(1))
            } else {
                try await run.advance(.milliseconds(2002))
            }
            let again = try await claimOne(run)
            try run.expect(again.attempt, is: next, "the attempt after a retry that counts: \(countsAttempt)")
            try run.expect(again.token > claim.token, "a claim after a retry has no later token")
            let now = Settlement(again, .retry(after: .zero, countsAttempt: false))
            try run.expect(try await store.settle([now]), is: [.settled], "a retry at once")
        }
    }

    private static func holdBack(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("a")])
        var claim = try await claimOne(run)
        for wait in [Duration.seconds(2), .zero, .seconds(-1), .seconds(2)] {
            let settlement = Settlement(claim, .holdBack(wait))
            try run.expect(try await store.settle([settlement]), is: [.settled], "a record that is held back")
            try run.expect(
                try await store.settle([settlement]),
                is: [.stale],
                "one held back with a token that was used"
            )
            let info = try await all(run).first
            try run.expect(info?.attempts, is: 0, "the attempts of a record that is held back")
            if wait > .zero {
                try run.expect(info?.isLeased, is: true, "whether a record is leased that is held back")
                let early = try await store.claim(queue, limit: 1, lease: .seconds(1))
                try run.expect(early.count, is: 0, "claims of a record that is held back")
                try await run.advance(.milliseconds(2002))
            }
            let again = try await claimOne(run)
            try run.expect(again.attempt, is: 1, "the attempt after a record was held back for \(wait)")
            try run.expect(again.wasAbandoned, "a record that was held back does not count as abandoned")
            try run.expect(again.token > claim.token, "a claim after a record was held back has no later token")
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
                "claims of a held record"
            )
            let info = try await all(run).first
            try run.expect(info?.version, is: claim.token, "the token after an extension")
            try run.expect(info?.isLeased, is: true, "whether a record is leased after an extension")
            if run.isExact {
                let due = try await store.nextDue(queue) ?? .zero
                try run.expect(due >= .seconds(2) && due < .milliseconds(2001), "an extension by 2 s ends in \(due)")
            }
        }
        _ = try await store.settle([Settlement(claim, .extend(.milliseconds(10)))])
        try await run.advance(.milliseconds(11))
        // Nobody has claimed it since: the token is still the record's.
        _ = try await store.settle([Settlement(claim, .extend(.milliseconds(10)))])
        try run.expect(
            try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
            is: 0,
            "claims of a held record"
        )
        try await run.advance(.milliseconds(11))
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
        try run.expect(try await store.settle([alive]), is: [.stale], "the redrive of a record that is not dead")
        let reason = "the last error: \u{1F4A5}"
        let settled = try await store.settle([Settlement(claim, .dead(reason: reason))])
        try run.expect(settled, is: [.settled], "a record that is set aside")
        try await run.advance(.seconds(10))
        try run.expect(
            try await store.claim(queue, limit: 9, lease: .seconds(1)).count,
            is: 0,
            "claims of a dead record"
        )
        guard let info = try await all(run).first else { throw run.violation("a dead record is on no page") }
        try run.expect(info.deadReason, is: reason, "why a record is dead")
        try run.expect(info.attempts, is: 2, "the attempts of a dead record")
        try run.expect(info.version > claim.token, "a dead record has no later version than its claim")
        for action in [
            Settlement.Action.retry(after: .zero, countsAttempt: true), .holdBack(.zero), .extend(.seconds(1)),
            .dead(reason: "again"),
        ] {
            let settlement = Settlement(queue: queue, id: "a", token: info.version, action)
            try run.expect(try await store.settle([settlement]), is: [.stale], "\(action) of a dead record")
        }
        let stale = Settlement(claim, .redrive)
        try run.expect(try await store.settle([stale]), is: [.stale], "a redrive with the claim's token")
        try run.expect(try await all(run), is: [info], "the dead record after stale settlements")
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
        try await run.refused("a record twice in a call to settle") {
            try await store.settle([
                Settlement(claims[0], .done), Settlement(claims[1], .done),
                Settlement(claims[1], .extend(.seconds(1))),
            ])
        }
        try run.expect(try await all(run), is: before, "the records after a call that was refused")
        let unknown = StoreVersion(rawValue: claims[1].token.rawValue &+ 1000)
        let results = try await store.settle([
            Settlement(claims[0], .done), Settlement(queue: queue, id: "1", token: unknown, .done),
            Settlement(claims[2], .dead(reason: "broken")),
            Settlement(claims[3], .retry(after: .seconds(60), countsAttempt: true)),
        ])
        try run.expect(results, is: [.settled, .stale, .settled, .settled], "four settlements, one of them stale")
        try run.expect(try await all(run).map(\.id), is: ["1", "3", "2"], "the records after four settlements")
        try run.expect(try await store.settle([]), is: [], "no settlements")
        // The same id in two queues is two records.
        _ = try await store.enqueue([record("1", in: "other")])
        let elsewhere = try await store.claim("other", limit: 1, lease: .seconds(60))
        let both = try await store.settle(elsewhere.map { Settlement($0, .done) } + [Settlement(claims[1], .done)])
        try run.expect(both, is: [.settled, .settled], "the same id in two queues")
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
                "whether the late one settled, if nobody claimed"
            )
            if let owner = claimed.first {
                try run.expect(
                    try await store.settle([Settlement(owner, .done)]),
                    is: [.settled],
                    "the new owner's end"
                )
            }
            try run.expect(try await all(run).count, is: 0, "the number of records after one of two was done")
        }
    }

    private static func deadReasons(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let reasons = [
            "", "broken", "line\nline\0\u{1F4A5} \"it's\" \\", String(repeating: "r", count: 1024),
            String(repeating: "r", count: 1025), String(repeating: "r", count: 100_000),
        ]
        // A character that does not fit whole is left out.
        let cut = (1020...1024).map { String(repeating: "r", count: $0) + "\u{1F4A5}\u{E9}" }
        for (number, reason) in (reasons + cut).enumerated() {
            let queue = RecordQueue("\(number)")
            _ = try await store.enqueue([record("a", in: queue)])
            let claims = try await store.claim(queue, limit: 1, lease: .seconds(60))
            let results = try await store.settle(claims.map { Settlement($0, .dead(reason: reason)) })
            try run.expect(results, is: [.settled], "a record that is set aside with \(reason.utf8.count) bytes")
            guard let stored = try await store.page(queue, .dead, after: nil, limit: 1).records.first?.deadReason else {
                throw run.violation("a dead record, or its reason of \(reason.utf8.count) bytes, is on no page")
            }
            let least = reason.utf8.count <= 1024 ? reason.utf8.count : 1021
            try run.expect(
                (least...1024).contains(stored.utf8.count) && reason.utf8.starts(with: stored.utf8),
                "of a reason of \(reason.utf8.count) bytes, \(stored.utf8.count) are kept: …\(stored.suffix(10))"
            )
        }
    }
}
