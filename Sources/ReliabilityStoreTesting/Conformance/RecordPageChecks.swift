internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let recordPageChecks = [
        Check(
            "records.due",
            "a page reports the time until a record is due or the time since its dead-lettering",
            needs: [.records],
            dueTimes
        ),
        Check("records.nextDue", "the time until the next due record is exact", needs: [.records], nextDue),
        Check(
            "records.counts",
            "records are counted by their state, and a record that waits for a retry is pending",
            needs: [.records],
            counts
        ),
        Check(
            "records.page",
            "pages contain each record of a state once, in the order of the bytes of the ids",
            needs: [.records],
            pages
        ),
        Check(
            "records.pageWhileWriting",
            "an unchanged record appears exactly once while other records change",
            needs: [.records],
            pageWhileWriting
        ),
    ]

    private static func dueTimes(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        func expect(_ id: String, _ expected: Duration, _ when: String) async throws {
            var infos: [RecordInfo] = []
            for state in [RecordState.pending, .deadLetter] {
                infos += try await store.page(queue, state, after: nil, limit: 99).records
            }
            guard let due = infos.first(where: { $0.id == id })?.due else {
                throw run.violation("the record \(id) is on no page")
            }
            // If time does not stand still, time passes during the check.
            let slack = Duration.seconds(run.isExact ? 0 : 60)
            let isRight = due >= expected - slack && due < expected + .milliseconds(1)
            try run.expect(isRight, "the record \(id), \(when), is due in \(due), not in \(expected)")
        }
        _ = try await store.enqueue([record("now"), record("later", delay: .seconds(600)), record("other")])
        try await expect("now", .zero, "immediately after the enqueue")
        try await expect("later", .seconds(600), "with a delay")
        try await run.advance(.seconds(2))
        try await expect("now", .seconds(-2), "2 s after it was due")
        var claims = try await store.claim(queue, limit: 9, lease: .seconds(900))
        try await expect("now", .seconds(900), "while a worker holds the record")
        for claim in claims where claim.id == "now" {
            _ = try await store.settle([Settlement(claim, .deadLetter(reason: "broken"))])
        }
        try await expect("now", .zero, "immediately after the dead-lettering")
        try await run.advance(.seconds(2))
        try await expect("now", .seconds(-2), "2 s after the dead-lettering")
        claims.removeAll { $0.id == "now" }
        _ = try await store.settle(claims.map { Settlement($0, .retry(after: .seconds(700), countsAttempt: true)) })
        try await expect("other", .seconds(700), "waiting for a retry")
    }

    private static func nextDue(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        func expectDue(in expected: Duration?, _ when: String) async throws {
            let due = try await store.nextDue(queue)
            if let expected, expected <= .zero {
                // A store may round a due time up, and real time continues.
                let isRight = due.map { due in
                    due <= .zero && due < expected + .milliseconds(1)
                        && (!run.isExact || due > expected - .milliseconds(1))
                }
                return try run.expect(
                    isRight ?? false,
                    "\(when) the next record is due in \(due.map { "\($0)" } ?? "no time"), not \(expected)"
                )
            }
            guard run.isExact, let expected else {
                return try run.expect(
                    due.map { $0 > .zero },
                    is: expected.map { $0 > .zero },
                    "the existence of a wait \(when)"
                )
            }
            let isRight = due.map { $0 >= expected && $0 < expected + .milliseconds(1) } ?? false
            try run.expect(
                isRight,
                "\(when) the next record is due in \(due.map { "\($0)" } ?? "no time"), not \(expected)"
            )
        }
        try await expectDue(in: nil, "in an empty queue")
        _ = try await store.enqueue([record("later", delay: .seconds(8)), record("sooner", delay: .seconds(3))])
        _ = try await store.enqueue([record("elsewhere", in: "other")])
        try await expectDue(in: .seconds(3), "with two delayed records")
        if run.isExact, let due = try await store.nextDue(queue) {
            try await run.advance(due - .nanoseconds(1))
            try run.expect(
                try await store.claim(queue, limit: 9, lease: .seconds(2)).count,
                is: 0,
                "the number of claims before the first record is due"
            )
            try await run.advance(.nanoseconds(1))
        } else {
            try await run.advance(.milliseconds(3001))
        }
        try await expectDue(in: .zero, "when the first record is due")
        var claims = try await store.claim(queue, limit: 9, lease: .seconds(2))
        try run.expect(claims.map(\.id), is: ["sooner"], "the ids claimed when the first record is due")
        try await expectDue(in: .seconds(2), "with a lease that ends before another record is due")
        try await run.advance(.milliseconds(2001))
        try await expectDue(in: .milliseconds(-1), "after the lease")
        try await run.advance(.seconds(2))
        try await expectDue(in: .milliseconds(-2001), "2 s after the lease")
        claims = try await store.claim(queue, limit: 9, lease: .seconds(60))
        _ = try await store.settle(claims.map { Settlement($0, .deadLetter(reason: "broken")) })
        try run.expect(try await store.nextDue(queue) != nil, "the time until a delayed record is missing")
        try await run.advance(.seconds(3))
        claims = try await store.claim(queue, limit: 9, lease: .seconds(60))
        try run.expect(claims.map(\.id), is: ["later"], "the ids claimed when the second record is due")
        _ = try await store.settle(claims.map { Settlement($0, .done) })
        try await expectDue(in: nil, "in a queue of dead letters")
    }

    private static func counts(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        func expect(_ pending: Int, _ deadLetters: Int, _ when: String) async throws {
            let counts = try await store.counts(queue)
            try run.expect(counts, is: RecordCounts(pending: pending, deadLetters: deadLetters), "the counts \(when)")
        }
        try await expect(0, 0, "of an empty queue")
        _ = try await store.enqueue([
            record("a"), record("b"), record("c", delay: .seconds(60)), record("a", in: "other"),
        ])
        try await expect(3, 0, "after three records")
        let claims = try await store.claim(queue, limit: 9, lease: .seconds(60))
        try await expect(3, 0, "with two leases")
        guard let first = claims.first, let second = claims.last else { throw run.violation("no record was claimed") }
        _ = try await store.settle([Settlement(first, .retry(after: .seconds(60), countsAttempt: true))])
        try await expect(3, 0, "with a record that waits for a retry")
        _ = try await store.settle([Settlement(second, .deadLetter(reason: "broken"))])
        try await expect(2, 1, "with a dead letter")
        guard let dead = try await store.page(queue, .deadLetter, after: nil, limit: 9).records.first else {
            throw run.violation("a dead letter is on no page")
        }
        let redrive = Settlement(queue: queue, id: dead.id, token: dead.version, .redrive)
        try run.expect(try await store.settle([redrive]), is: [.settled], "a redrive")
        try await expect(3, 0, "after a redrive")
        for claim in try await store.claim(queue, limit: 9, lease: .seconds(60)) {
            _ = try await store.settle([Settlement(claim, .done)])
        }
        try await expect(2, 0, "after a record is done")
    }

    private static func pages(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let ids = (0..<12).map { "id \($0)" } + ["\u{FB33}", "\u{1F602}", "z", "A", "a", "e\u{301}", "\u{E9}", "e"]
        for chunk in stride(from: 0, to: ids.count, by: 10) {
            _ = try await store.enqueue(ids[chunk..<min(chunk + 10, ids.count)].map { record($0) })
        }
        _ = try await store.enqueue([record("elsewhere", in: "other")])
        let claims = try await store.claim(queue, limit: 6, lease: .seconds(5))
        _ = try await store.settle(claims.prefix(3).map { Settlement($0, .deadLetter(reason: "reason of \($0.id)")) })
        let dead = Set(claims.prefix(3).map { Array($0.id.utf8) })
        let leased = Set(claims.dropFirst(3).map { Array($0.id.utf8) })
        for limit in [1, 3, 17, 18, 1000, .max] {
            for state in [RecordState.pending, .deadLetter] {
                var found: [RecordInfo] = []
                var after: String?
                for _ in 0...ids.count {
                    let page = try await store.page(queue, state, after: after, limit: limit)
                    try run.expect(page.records.count <= limit, "a page of at most \(limit) has \(page.records.count)")
                    found += page.records
                    after = page.next
                    if after == nil { break }
                }
                let expected = ids.map { Array($0.utf8) }.filter { dead.contains($0) == (state == .deadLetter) }
                try run.expect(
                    found.map { Array($0.id.utf8) },
                    is: expected.sorted { $0.lexicographicallyPrecedes($1) },
                    "the ids on pages of \(limit) in the state \(state)"
                )
                for record in found {
                    try run.expect(record.payload, is: self.record(record.id).payload, "a payload on a page")
                    try run.expect(
                        record.isLeased,
                        is: leased.contains(Array(record.id.utf8)),
                        "isLeased of a record on a page"
                    )
                    let reason = state == .deadLetter ? "reason of \(record.id)" : nil
                    try run.expect(record.deadLetterReason, is: reason, "the reason of a dead letter on a page")
                    let attempts = claims.contains { $0.id.utf8.elementsEqual(record.id.utf8) } ? 1 : 0
                    try run.expect(record.attempts, is: attempts, "the attempts on a page")
                }
            }
        }
        try await run.advance(.milliseconds(5001))
        try run.expect(
            try await all(run).contains(where: \.isLeased),
            is: false,
            "the existence of a leased record after the leases have ended"
        )
    }

    private static func pageWhileWriting(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        try await run.withSeeds { seed, random in
            let queue = QueueName("while \(seed)")
            let stable = (0..<20).map { "\($0) stable" }
            let changing = (0..<20).map { "\($0) other" }
            for id in stable + changing { _ = try await store.enqueue([record(id, in: queue)]) }
            // The check holds every record, so that no record changes otherwise.
            var held: [String: RecordClaim] = [:]
            for _ in stable + changing {
                let claims = try await store.claim(queue, limit: 100, lease: .seconds(3600))
                if claims.isEmpty { break }
                for claim in claims { held[claim.id] = claim }
            }
            try run.expect(held.count, is: stable.count + changing.count, "the number of claims")
            var seen: [String] = []
            var after: String?
            for _ in 0..<100 {
                let page = try await store.page(queue, .pending, after: after, limit: 3)
                seen += page.records.map(\.id)
                guard let next = page.next else { break }
                after = next
                for id in changing.shuffled(using: &random).prefix(5) {
                    if let claim = held.removeValue(forKey: id) {
                        let actions: [Settlement.Action] = [.done, .deadLetter(reason: "broken")]
                        let action = actions.randomElement(using: &random) ?? .done
                        try run.expect(try await store.settle([Settlement(claim, action)]), is: [.settled], "\(action)")
                    } else {
                        _ = try await store.enqueue([record(id, in: queue)])
                    }
                }
            }
            try run.expect(seen.filter(stable.contains), is: stable.sorted(), "the unchanged records")
            try run.expect(Set(seen).count, is: seen.count, "the number of different records on all pages")
            try await deadPagesWhileWriting(run, QueueName("dead \(seed)"), &random)
        }
    }

    /// Reads pages of dead letters while other dead letters are redriven and removed.
    private static func deadPagesWhileWriting(
        _ run: ConformanceRun,
        _ queue: QueueName,
        _ random: inout SeededGenerator
    ) async throws {
        let store = try run.recordStore()
        let stable = (0..<20).map { "\($0) stable" }
        var changing: [String] = (0..<20).map { "\($0) other" }
        for id in stable + changing {
            _ = try await store.enqueue([record(id, in: queue)])
            let claims = try await store.claim(queue, limit: 1, lease: .seconds(3600))
            _ = try await store.settle(claims.map { Settlement($0, .deadLetter(reason: "broken")) })
        }
        let tokens = try await all(run, in: queue).map { ($0.id, $0.version) }
        try run.expect(tokens.count, is: stable.count + changing.count, "the number of dead letters")
        var seen: [String] = []
        var after: String?
        for _ in 0..<100 {
            let page = try await store.page(queue, .deadLetter, after: after, limit: 3)
            seen += page.records.map(\.id)
            guard let next = page.next else { break }
            after = next
            changing.shuffle(using: &random)
            for id in changing.suffix(3) {
                let action: Settlement.Action = Bool.random(using: &random) ? .redrive : .done
                for (other, token) in tokens where other == id {
                    let result = try await store.settle([Settlement(queue: queue, id: id, token: token, action)])
                    try run.expect(result, is: [.settled], "\(action) of a dead letter")
                }
            }
            changing.removeLast(min(3, changing.count))
        }
        try run.expect(seen.filter(stable.contains), is: stable.sorted(), "the unchanged dead letters")
        try run.expect(Set(seen).count, is: seen.count, "the number of different dead letters on all pages")
        // A small store has no room for the records of all histories.
        for info in try await all(run, in: queue) {
            _ = try await store.settle([Settlement(queue: queue, id: info.id, token: info.version, .done)])
        }
    }
}
