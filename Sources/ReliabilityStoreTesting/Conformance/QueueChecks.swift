internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let queueChecks = [
        Check(
            "records.names",
            "records and queues are compared by the bytes of their names only",
            needs: [.records],
            recordNames
        ),
        Check(
            "records.payloads",
            "a payload of any bytes is stored unchanged, from an enqueue and from a commit",
            needs: [.records],
            payloads
        ),
        Check(
            "records.extremes",
            "extreme waits neither trap nor make a record due too soon, and a negative wait is zero",
            needs: [.records],
            extremeWaits
        ),
        Check(
            "records.enqueueOnce",
            "of many tasks that enqueue a record, exactly one succeeds, and its payload stays",
            needs: [.records],
            enqueueOnce
        ),
        Check(
            "records.pageWhileWriting",
            "an unchanged record appears exactly once while other records change",
            needs: [.records],
            pageWhileWriting
        ),
        Check(
            "records.capacity",
            "a full store rejects new records, loses no record, and can be drained",
            needs: [.records],
            recordCapacity
        ),
        Check(
            "records.oneStep",
            "no reader sees half of an enqueue or misses a record during its change of state",
            needs: [.records],
            recordsInOneStep
        ),
        Check(
            "records.cancelledMidway",
            "a task cancelled during an enqueue, a claim or a settlement gets no wrong answer",
            needs: [.records],
            recordsCancelledMidway
        ),
    ]

    /// Names that a database, a script or a text comparison may confuse, cut or reject.
    private static func names(longest: Int) -> [String] {
        let tail = String(repeating: "n", count: longest - 1)
        return [
            "a", "A", "a ", " a", "a\t", "a\0", "\0", "a\u{200D}", "\u{FEFF}a",
            "\u{E9}", "e\u{301}", "\u{C5}", "A\u{30A}", "\u{212B}", "ß", "ss", "SS", "fi", "\u{FB01}", "\u{1F602}",
            "\u{FB33}",
            "%", "_", "*", "?", "'", "\"", "\\", "a:b", "a/b", "{a}", "..", "1", "01", "null", tail + "1", tail + "2",
        ]
    }

    private static func same(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

    private static func recordNames(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let most = store.capabilities.maxWrites
        let ids = names(longest: 256)
        for again in [false, true] {
            for start in stride(from: 0, to: ids.count, by: most) {
                let some = ids[start..<min(start + most, ids.count)]
                let results = try await store.enqueue(some.map { record($0) })
                let expected = some.map { _ in again ? EnqueueResult.duplicate : .enqueued }
                try run.expect(results, is: expected, "the results for the records \(some)")
            }
        }
        var claims: [RecordClaim] = []
        while claims.count <= ids.count {
            let more = try await store.claim(queue, limit: most, lease: .seconds(3600))
            if more.isEmpty { break }
            claims += more
        }
        try run.expect(claims.count, is: ids.count, "the number of claims")
        for id in ids {
            guard let claim = claims.first(where: { same($0.id, id) }) else {
                throw run.violation("no record with the id \(id.debugDescription) was claimed")
            }
            try run.expect(claim.payload, is: record(id).payload, "the payload of \(id.debugDescription)")
            try run.expect(
                try await store.settle([Settlement(claim, .done)]),
                is: [.settled],
                "the settlement of \(id.debugDescription)"
            )
            let left = try await all(run)
            try run.expect(!left.contains { same($0.id, id) }, "\(id.debugDescription) exists after it was done")
        }

        let queues = names(longest: 64).map { QueueName($0) }
        for queue in queues {
            let new = NewRecord(queue: queue, id: "x", payload: Array(queue.description.utf8))
            try run.expect(
                try await store.enqueue([new]),
                is: [.enqueued],
                "a record in \(queue.description.debugDescription)"
            )
        }
        for queue in queues {
            let name = queue.description.debugDescription
            let counts = try await store.counts(queue)
            try run.expect(counts, is: RecordCounts(pending: 1, deadLetters: 0), "the counts of \(name)")
            let infos = try await all(run, in: queue)
            let payloads = [Array(queue.description.utf8)]
            try run.expect(infos.map(\.payload), is: payloads, "the payloads in \(name)")
            let claims = try await store.claim(queue, limit: most, lease: .seconds(3600))
            try run.expect(claims.map(\.payload), is: payloads, "the payloads claimed from \(name)")
            let isNamed = claims.allSatisfy { same($0.queue.description, queue.description) }
            try run.expect(isNamed, "a claim from \(name) names another queue")
            let results = try await store.settle(claims.map { Settlement($0, .done) })
            try run.expect(results, is: [.settled], "the settlement of the record in \(name)")
            try run.expect(
                try await store.nextDue(queue) == nil,
                "a record is due in \(name) after its last record was done"
            )
        }
        try await joinedNames(run)
    }

    /// Checks pairs of a queue and an id that a store may join to the same name.
    private static func joinedNames(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        for joint in ["", ":", "/", "|", "\0", ",", " ", "-", "_", ".", "#", "::"] {
            let names = [("a", "b\(joint)c"), ("a\(joint)b", "c")].map {
                (queue: QueueName($0), id: "\($1)\(joint)d")
            }
            for name in names {
                let result = try await store.enqueue([record(name.id, in: name.queue)])
                try run.expect(result, is: [.enqueued], "the enqueue of the record \(name)")
            }
            for (position, name) in names.enumerated() {
                let claims = try await store.claim(name.queue, limit: 9, lease: .seconds(3600))
                try run.expect(claims.map(\.id), is: [name.id], "the ids claimed for \(name)")
                let results = try await store.settle(claims.map { Settlement($0, .done) })
                try run.expect(results, is: [.settled], "the settlement of \(name)")
                let left = try await store.counts(names[1].queue).pending
                try run.expect(left, is: 1 - position, "the number of records of \(names[1]) after \(name) is done")
            }
        }
    }

    private static func payloads(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        let payloads: [[UInt8]] = [
            [], [0], [0, 0], Array(0...255), [0xC3, 0x28], [0xEF, 0xBB, 0xBF, 0x61], [0x65, 0xCC, 0x81],
            Array(" {\"a\": \"\u{1F4A5}\"}\n".utf8), [UInt8](repeating: 0xFF, count: 4096),
        ]
        for (number, payload) in payloads.enumerated() {
            let queue = QueueName("\(number)")
            _ = try await store.enqueue([NewRecord(queue: queue, id: "a", payload: payload)])
            let other = NewRecord(queue: queue, id: "b", payload: payload)
            try await run.committed([.put(run.key("\(number)"), [1], .never, if: .absent)], enqueueing: [other])
            let claims = try await store.claim(queue, limit: 2, lease: .seconds(3600))
            try run.expect(claims.map(\.payload), is: [payload, payload], "the payloads of claims")
            _ = try await store.settle(claims.prefix(1).map { Settlement($0, .deadLetter(reason: "broken")) })
            try run.expect(
                try await all(run, in: queue).map(\.payload),
                is: [payload, payload],
                "the payloads on pages"
            )
        }
    }

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
