internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let recordLimitChecks = [
        Check(
            "records.extremes",
            "extreme waits neither trap nor make a record due too soon, and a negative wait is zero",
            needs: [.records],
            extremeWaits
        ),
        Check(
            "records.limits",
            "a call beyond a limit is rejected as invalid and changes nothing",
            needs: [.records],
            recordLimits
        ),
        Check(
            "records.capacity",
            "a full store rejects new records, loses no record, and can be drained",
            needs: [.records],
            recordCapacity
        ),
        Check(
            "records.cancelled",
            "a cancelled task enqueues, claims and settles nothing",
            needs: [.records],
            cancelledRecords
        ),
        Check(
            "records.cancelledMidway",
            "a task cancelled during an enqueue, a claim or a settlement gets no wrong answer",
            needs: [.records],
            recordsCancelledMidway
        ),
    ]

    private static func extremeWaits(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let far: [Duration] = [
            .seconds(Int64.max), .nanoseconds(Int64.max), .milliseconds(Int64.max), Duration(attoseconds: .max),
            .seconds(100 * 365 * 86_400), .seconds(30 * 86_400),
        ]
        let held = QueueName("held")
        for (number, wait) in far.enumerated() {
            _ = try await store.enqueue([record("enqueued \(number)", delay: wait)])
            try await run.committed([], enqueueing: [record("committed \(number)", delay: wait)])
            _ = try await store.enqueue([record("\(number)", in: held), record("retried \(number)", in: held)])
            let claims = try await store.claim(held, limit: 9, lease: wait)
            try run.expect(claims.count, is: 2, "the claims for a lease of \(wait)")
            let actions = [Settlement.Action.extend(wait), .retry(after: wait, countsAttempt: true)]
            let results = try await store.settle(zip(claims, actions).map { Settlement($0, $1) })
            try run.expect(results, is: [.settled, .settled], "an extension and a retry by \(wait)")
        }
        try await run.advance(.seconds(10))
        for queue in [queue, held] {
            let early = try await store.claim(queue, limit: 99, lease: .seconds(60))
            try run.expect(early.map(\.id), is: [], "the ids claimed 10 s into extreme waits")
            let due = try await store.nextDue(queue)
            let isFar = due.map { $0 > .seconds(29 * 86_400) } ?? false
            try run.expect(
                isFar,
                "the first of several waits of at least 30 days ends in \(due.map { "\($0)" } ?? "no time")"
            )
        }
        let past: [Duration] = [.nanoseconds(-1), .seconds(-5), .seconds(Int64.min), Duration(attoseconds: .min)]
        for (number, wait) in past.enumerated() {
            let queue = QueueName("past \(number)")
            _ = try await store.enqueue(
                [record("a", delay: wait)].map { NewRecord(queue: queue, id: $0.id, payload: [], delay: wait) }
            )
            for _ in 1...2 {
                let claims = try await store.claim(queue, limit: 9, lease: .seconds(3600))
                try run.expect(claims.map(\.id), is: ["a"], "the ids claimed after a wait of \(wait)")
                _ = try await store.settle(claims.map { Settlement($0, .retry(after: wait, countsAttempt: true)) })
            }
        }
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

    /// The largest capacity that the check tests.
    private static let mostRecords = 1_000

    private static func recordCapacity(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let key = run.key("data")
        try await run.put(key, [0])
        func isRejected(_ id: String) async throws -> Bool {
            do {
                _ = try await store.enqueue([record(id)])
                return false
            } catch  where error.reason == .capacityExceeded {
                return true
            }
        }
        var count = 0
        while count < mostRecords, try await !isRejected("\(10_000 + count)") { count += 1 }
        try run.expect(try await all(run).count, is: count, "the number of records after \(count) enqueues")
        if count == mostRecords { return }
        try run.expect(count > 0, "a store rejected its first record")
        try await run.rejected("a record in a commit to a full store", as: .capacityExceeded) {
            try await store.commit([.put(key, [1], .never, if: .any)], enqueueing: [record("another")])
        }
        try await run.expect(key, holds: [0], "after a commit found no room for its record")
        // A full store that cannot be drained stays full forever.
        func claimOne() async throws -> RecordClaim {
            guard let claim = try await store.claim(queue, limit: 1, lease: .seconds(3600)).first else {
                throw run.violation("no record was claimed in a full store")
            }
            return claim
        }
        func settle(_ claim: RecordClaim, _ action: Settlement.Action) async throws {
            let result = try await store.settle([Settlement(claim, action)])
            try run.expect(result, is: [.settled], "\(action) in a full store")
        }
        let first = try await claimOne()
        try await settle(first, .extend(.seconds(3600)))
        try await settle(first, .retry(after: .zero, countsAttempt: false))
        try await settle(try await claimOne(), .deadLetter(reason: "broken"))
        try run.expect(try await all(run).count, is: count, "the number of records of a full store after settlements")
        try await settle(try await claimOne(), .done)
        try await settle(try await claimOne(), .done)
        try run.expect(try await !isRejected("another"), "completed records made no room")
        try run.expect(
            try await all(run).count,
            is: count - 1,
            "the number of records after two were done and one was added"
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

    private static func recordsCancelledMidway(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        try await withThrowingTaskGroup { group in
            for number in 0..<48 {
                group.addTask {
                    let queue = QueueName("midway \(number)")
                    let enqueue = try await cancelling(run, after: number % 16) {
                        try await store.enqueue([record("a", in: queue)])
                    }
                    let there = try await store.counts(queue).pending
                    switch enqueue {
                    case .answered(let results): try run.expect(results, is: [.enqueued], "the enqueue of a new record")
                    case .cancelled: try run.expect(there, is: 0, "records after an enqueue rejected as cancelled")
                    case .unknown: break
                    }
                    if case .answered = enqueue { try run.expect(there, is: 1, "records after an enqueue") }
                    if there == 0 { _ = try await store.enqueue([record("a", in: queue)]) }

                    let claim = try await cancelling(run, after: number / 3) {
                        try await store.claim(queue, limit: 1, lease: .seconds(3600))
                    }
                    guard let info = try await all(run, in: queue).first else {
                        throw run.violation("a record is missing after its claim was cancelled")
                    }
                    switch claim {
                    case .answered(let claims):
                        try run.expect(claims.map(\.token), is: [info.version], "the token of a claim")
                        try run.expect(info.attempts, is: 1, "the attempts after a claim")
                    case .cancelled:
                        try run.expect(info.attempts, is: 0, "the attempts after a claim rejected as cancelled")
                        try run.expect(!info.isLeased, "a record is leased after a claim rejected as cancelled")
                    case .unknown:
                        try run.expect(
                            info.isLeased,
                            is: info.attempts == 1,
                            "isLeased of a record, compared with its attempts"
                        )
                    }
                    var token = info.version
                    if !info.isLeased, let again = try await store.claim(queue, limit: 1, lease: .seconds(60)).first {
                        token = again.token
                    }
                    let done = Settlement(queue: queue, id: "a", token: token, .done)
                    let settle = try await cancelling(run, after: number % 16) { try await store.settle([done]) }
                    let left = try await store.counts(queue).pending
                    switch settle {
                    case .answered(let results):
                        try run.expect(results, is: [.settled], "the holder's settlement")
                        try run.expect(left, is: 0, "records after one was done")
                    case .cancelled: try run.expect(left, is: 1, "records after a settlement rejected as cancelled")
                    case .unknown: break
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
