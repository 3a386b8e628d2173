internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let recordChecks = [
        Check(
            "records.idempotent",
            "the enqueue of an existing record changes nothing and reports whether the payload is the same",
            needs: [.records],
            enqueueIsIdempotent
        ),
        Check(
            "records.commit",
            "a commit makes its writes and adds its records, or does neither",
            needs: [.records],
            commitWithRecords
        ),
        Check(
            "records.taken",
            "all records of a successful commit are pending",
            needs: [.records],
            commitWithTakenRecords
        ),
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
            "records.limits",
            "a call beyond a limit is rejected as invalid and changes nothing",
            needs: [.records],
            recordLimits
        ),
        Check(
            "records.cancelled",
            "a cancelled task enqueues, claims and settles nothing",
            needs: [.records],
            cancelledRecords
        ),
        Check(
            "records.history",
            "a random history of records matches a simple model",
            needs: [.records, .exactTime],
            recordHistory
        ),
    ]

    static let queue: QueueName = "conformance"

    static func record(_ id: String, delay: Duration = .zero, in queue: QueueName = queue) -> NewRecord {
        NewRecord(queue: queue, id: id, payload: Array("payload of \(id)".utf8), delay: delay)
    }

    /// Returns all records of a queue by state, with `due` set to zero because due times change between two reads.
    static func all(_ run: ConformanceRun, in queue: QueueName = queue) async throws -> [RecordInfo] {
        let store = try run.recordStore()
        var all: [RecordInfo] = []
        for state in [RecordState.pending, .deadLetter] {
            var after: String?
            // A page may contain fewer records than its limit.
            for _ in 0...10_000 {
                let page = try await store.page(queue, state, after: after, limit: 10_000)
                all += page.records.map { info in
                    RecordInfo(
                        id: info.id,
                        payload: info.payload,
                        version: info.version,
                        attempts: info.attempts,
                        isLeased: info.isLeased,
                        due: .zero,
                        deadLetterReason: info.deadLetterReason
                    )
                }
                after = page.next
                if after == nil { break }
            }
        }
        return all
    }

    private static func enqueueIsIdempotent(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let ids = ["a", "b", "\u{E9}", "e\u{301}", "A", " a"]
        let added = try await store.enqueue(ids.map { record($0) } + [record("a"), record("c")])
        try run.expect(
            added,
            is: ids.map { _ in .enqueued } + [.duplicate, .enqueued],
            "the results for records that differ in bytes, a repeated record and a new record"
        )
        let elsewhere = try await store.enqueue([record("a", in: "other")])
        try run.expect(elsewhere, is: [.enqueued], "the same id in another queue")
        func expectDuplicate(_ id: String, _ state: String) async throws {
            let before = try await all(run)
            var again = record(id)
            again.delay = .seconds(3600)
            let isDead = state == "a dead letter"
            try run.expect(
                try await store.enqueue([again]),
                is: [isDead ? .taken(by: .deadLetter) : .duplicate],
                "enqueueing a record that is \(state)"
            )
            again.payload = [0]
            try run.expect(
                try await store.enqueue([again]),
                is: [.taken(by: isDead ? .deadLetter : .pending)],
                "enqueueing another payload under the identity of a record that is \(state)"
            )
            try run.expect(try await all(run), is: before, "the records after enqueueing a record that is \(state)")
        }
        let twice = [
            NewRecord(queue: "twice", id: "a", payload: [1]), NewRecord(queue: "twice", id: "a", payload: [2]),
        ]
        let first = try await store.enqueue(twice)
        try run.expect(first, is: [.enqueued, .taken(by: .pending)], "two payloads under one identity in one call")
        try await expectDuplicate("a", "pending")
        let claims = try await store.claim(queue, limit: 100, lease: .seconds(3600))
        try await expectDuplicate("a", "leased")
        for claim in claims {
            let action: Settlement.Action =
                switch claim.id {
                case "a": .deadLetter(reason: "broken")
                case "b": .retry(after: .seconds(3600), countsAttempt: true)
                default: .done
                }
            try run.expect(try await store.settle([Settlement(claim, action)]), is: [.settled], "a settlement")
        }
        try await expectDuplicate("a", "a dead letter")
        try await expectDuplicate("b", "waiting for a retry")
        try run.expect(try await store.enqueue([record("c")]), is: [.enqueued], "enqueueing a record that is done")
        let again = try await store.claim(queue, limit: 100, lease: .seconds(60))
        try run.expect(again.map(\.id), is: ["c"], "the claim of a record enqueued again")
        try run.expect(again.map(\.attempt), is: [1], "the attempt of a record enqueued again")
    }

    private static func commitWithRecords(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let key = run.key("data")
        let result = try await store.commit([.put(key, [1], .never, if: .present)], enqueueing: [record("a")])
        try run.expect(result, is: .conflict(index: 0, current: nil), "a commit with a false condition")
        try run.expect(try await all(run).count, is: 0, "the records after a conflict")

        try await run.committed([.put(key, [1], .never, if: .absent)], enqueueing: [record("a"), record("b")])
        try await run.expect(key, holds: [1], "after a commit with records")
        try run.expect(try await all(run).map(\.id), is: ["a", "b"], "the records after a commit")
        // An existing record with the same payload does not fail the commit.
        let again = try await store.commit(
            [.put(key, [2], .never, if: .present)],
            enqueueing: [record("b", delay: .seconds(9)), record("c"), record("c")]
        )
        guard case .committed(_, let added) = again else {
            throw run.violation("a commit with an existing record ended with \(again)")
        }
        try run.expect(added, is: [.duplicate, .enqueued, .duplicate], "the results for the records of a commit")
        try await run.expect(key, holds: [2], "after a commit with an existing record")
        try run.expect(try await all(run).map(\.id), is: ["a", "b", "c"], "the records after another commit")
        try await run.committed([], enqueueing: [record("d")])
        let claims = try await store.claim(queue, limit: 10, lease: .seconds(60))
        try run.expect(claims.map(\.id).sorted(), is: ["a", "b", "c", "d"], "the claims of records from commits")
        for claim in claims { try run.expect(claim.payload, is: record(claim.id).payload, "a payload") }

        // A rejection applies to the whole commit.
        try await run.rejected("a commit with a record that has no id") {
            try await store.commit([.put(key, [3], .never, if: .any)], enqueueing: [record("e"), record("")])
        }
        let many = store.capabilities.maxWrites
        try await run.rejected("a commit of too many writes and records together") {
            try await store.commit([.put(key, [3], .never, if: .any)], enqueueing: (0..<many).map { record("\($0)") })
        }
        try await run.expect(key, holds: [2], "after a commit was rejected")
        try run.expect(try await all(run).count, is: 4, "the number of records after a commit was rejected")
    }

    private static func commitWithTakenRecords(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let key = run.key("data")
        try await run.put(key, [1])
        _ = try await store.enqueue([record("dead"), record("held")])
        for claim in try await store.claim(queue, limit: 9, lease: .seconds(3600)) where claim.id == "dead" {
            _ = try await store.settle([Settlement(claim, .deadLetter(reason: "broken"))])
        }
        _ = try await store.enqueue([record("waiting", delay: .seconds(3600))])
        let before = try await all(run)
        func another(_ id: String) -> NewRecord { NewRecord(queue: queue, id: id, payload: [0]) }
        let cases: [(records: [NewRecord], index: Int, state: RecordState)] = [
            ([record("dead")], 0, .deadLetter), ([another("dead")], 0, .deadLetter), ([another("held")], 0, .pending),
            ([record("new"), another("waiting")], 1, .pending), ([record("new"), another("new")], 1, .pending),
            ([record("waiting"), record("new"), record("dead"), another("held")], 2, .deadLetter),
        ]
        for (records, index, state) in cases {
            let result = try await store.commit([.put(key, [2], .never, if: .present)], enqueueing: records)
            let ids = records.map(\.id)
            try run.expect(result, is: .taken(index: index, by: state), "a commit with the records \(ids)")
            try await run.expect(key, holds: [1], "after a commit whose record's identity was taken")
            try run.expect(try await all(run), is: before, "the records after a commit with \(ids)")
        }
        // A conflict takes precedence over a taken record.
        let both = try await store.commit([.put(key, [2], .never, if: .absent)], enqueueing: [another("held")])
        guard case .conflict(0, let current) = both else { throw run.violation("a conflict was reported as \(both)") }
        try run.expect(current?.value, is: [1], "the value in the conflict of a commit")
        for info in before where info.id == "dead" {
            _ = try await store.settle([Settlement(queue: queue, id: "dead", token: info.version, .done)])
        }
        try await run.committed([.put(key, [3], .never, if: .present)], enqueueing: [another("dead")])
        let freed = try await all(run).first { $0.id == "dead" }
        try run.expect(freed?.payload, is: [0], "the payload of a record whose identity was free again")
        try run.expect(freed?.deadLetterReason == nil, "an enqueued record is a dead letter")
    }

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

    private static func recordLimits(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let longName = QueueName(String(repeating: "q", count: 65))
        for bad in ["", longName.description] {
            let bad = QueueName(bad)
            try await run.rejected("a queue with a bad name") {
                try await store.enqueue([record("a"), record("a", in: bad)])
            }
            try await run.rejected("a queue with a bad name") {
                try await store.claim(bad, limit: 1, lease: .seconds(1))
            }
            try await run.rejected("a queue with a bad name") { try await store.nextDue(bad) }
            try await run.rejected("a queue with a bad name") { try await store.counts(bad) }
            try await run.rejected("a queue with a bad name") {
                try await store.page(bad, .pending, after: nil, limit: 1)
            }
        }
        for id in ["", String(repeating: "i", count: 257)] {
            try await run.rejected("a bad id") { try await store.enqueue([record("a"), record(id)]) }
        }
        var large = record("large")
        large.payload = [UInt8](repeating: 1, count: store.capabilities.maxValueBytes + 1)
        try await run.rejected("a payload that is too large") { [large] in
            try await store.enqueue([record("a"), large])
        }
        let most = store.capabilities.maxWrites
        try await run.rejected("too many records") { try await store.enqueue((0...most).map { record("\($0)") }) }
        try run.expect(try await all(run).count, is: 0, "the number of records after rejected calls")
        try run.expect(try await store.enqueue([]), is: [], "the results for no records")

        large.payload.removeLast()
        let longest = record(String(repeating: "i", count: 256), in: QueueName(String(repeating: "q", count: 64)))
        let added = try await store.enqueue([large, longest])
        try run.expect(added, is: [.enqueued, .enqueued], "the results for records at the limits")
        for limit in [0, -1, Int.min] {
            try await run.rejected("a claim with the limit \(limit)") {
                try await store.claim(queue, limit: limit, lease: .seconds(1))
            }
            try await run.rejected("a page with the limit \(limit)") {
                try await store.page(queue, .pending, after: nil, limit: limit)
            }
        }
        for lease in [Duration.zero, .seconds(-1), Duration(attoseconds: .min)] {
            try await run.rejected("a lease of \(lease)") { try await store.claim(queue, limit: 1, lease: lease) }
        }
        let claims = try await store.claim(queue, limit: .max, lease: Duration(attoseconds: .max))
        try run.expect(claims.map(\.attempt), is: [1], "the attempt of a record after rejected claims")
        for claim in claims {
            try await run.rejected("an extension by zero") {
                try await store.settle([Settlement(claim, .extend(.zero))])
            }
            let unknown = Settlement(queue: queue, id: "unknown", token: claim.token, .done)
            try await run.rejected("too many settlements") {
                try await store.settle(
                    (0...most).map { Settlement(queue: queue, id: "\($0)", token: claim.token, .done) }
                )
            }
            let results = try await store.settle([
                unknown, Settlement(claim, .retry(after: Duration(attoseconds: .max), countsAttempt: true)),
            ])
            try run.expect(
                results,
                is: [.stale, .settled],
                "the settlements of an unknown record and of a record with an extreme wait"
            )
        }
        try run.expect(
            try await store.claim(queue, limit: 1, lease: .seconds(1)).count,
            is: 0,
            "the number of claims of a record that waits forever"
        )
    }

    private static func cancelledRecords(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        _ = try await store.enqueue([record("held"), record("free", delay: .seconds(1))])
        guard let claim = try await store.claim(queue, limit: 1, lease: .seconds(3600)).first else {
            throw run.violation("a due record was not claimed")
        }
        try await run.advance(.milliseconds(1001))
        let before = try await all(run)
        func rejected<Success: Sendable>(
            _ what: String,
            _ operation: @escaping @Sendable () async throws -> Success
        ) async throws {
            let task = Task {
                await suspendUntilCancelled()
                return try await operation()
            }
            task.cancel()
            try await run.rejected("\(what) of a cancelled task", as: .cancelled) { try await task.value }
            try run.expect(try await all(run), is: before, "the records after \(what) of a cancelled task")
        }
        try await rejected("an enqueue") { try await store.enqueue([record("new")]) }
        try await rejected("a commit") { try await store.commit([], enqueueing: [record("new")]) }
        try await rejected("a claim") { try await store.claim(queue, limit: 1, lease: .seconds(60)) }
        try await rejected("a settlement") { try await store.settle([Settlement(claim, .done)]) }
    }
}
