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
            "records.enqueueOnce",
            "of many tasks that enqueue a record, exactly one succeeds, and its payload stays",
            needs: [.records],
            enqueueOnce
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
            "records.oneStep",
            "no reader sees half of an enqueue or misses a record during its change of state",
            needs: [.records],
            recordsInOneStep
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

    private static func enqueueOnce(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        for round in 0..<10 {
            let queue = QueueName("once \(round)")
            let winners = try await withThrowingTaskGroup { group in
                for task in UInt8(0)..<64 {
                    group.addTask { () -> UInt8? in
                        let record = NewRecord(queue: queue, id: "a", payload: [task])
                        let results = try await store.enqueue([record])
                        return results == [.enqueued] ? task : nil
                    }
                }
                return try await group.reduce(into: []) { winners, winner in winners += winner.map { [$0] } ?? [] }
            }
            try run.expect(winners.count, is: 1, "the number of 64 tasks that enqueued the record")
            let infos = try await all(run, in: queue)
            try run.expect(
                infos.map(\.payload),
                is: winners.map { [$0] },
                "the payload, compared with the payload of the first task"
            )
        }
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

    private static func recordsInOneStep(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let writers = 8
        _ = try await store.enqueue((0..<writers).map { record("first \($0)") })
        try await withThrowingTaskGroup { group in
            for writer in 0..<writers {
                group.addTask {
                    for step in 0..<8 {
                        let pair = (0..<2).map { record("\(writer) \(step) \($0)", delay: .seconds(3600)) }
                        if step % 2 == 0 {
                            _ = try await store.enqueue(pair)
                        } else {
                            _ = try await store.commit([], enqueueing: pair)
                        }
                        for claim in try await store.claim(queue, limit: 1, lease: .seconds(3600)) {
                            let again = Settlement.Action.retry(after: .zero, countsAttempt: true)
                            let action = step % 4 == 3 ? .deadLetter(reason: "broken") : again
                            _ = try await store.settle([Settlement(claim, action)])
                            guard step % 4 == 3 else { continue }
                            for dead in try await store.page(queue, .deadLetter, after: nil, limit: 1).records {
                                let redrive = Settlement(queue: queue, id: dead.id, token: dead.version, .redrive)
                                _ = try await store.settle([redrive])
                            }
                        }
                    }
                }
                group.addTask {
                    var least = writers
                    for _ in 0..<32 {
                        let counts = try await store.counts(queue)
                        let count = counts.pending + counts.deadLetters
                        try run.expect(count % 2 == 0, "half of an enqueue of two records is in the count \(count)")
                        try run.expect(count >= least, "\(count) records are counted after \(least) records")
                        least = count
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
