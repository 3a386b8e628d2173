internal import ReliabilityCore
internal import ReliabilityStore

/// Checks for calls with a lost answer. A store reports the true outcome or an unknown outcome.
extension StoreConformance {
    static let answerChecks = [
        Check(
            "answers.commit",
            "a commit with a lost answer reports its outcome or unknownOutcome, and is not made twice",
            needs: [.lostAnswers],
            lostCommits
        ),
        Check(
            "answers.update",
            "an update with a lost answer reports its outcome or unknownOutcome, and is not made twice",
            needs: [.lostAnswers],
            lostUpdates
        ),
        Check(
            "answers.records",
            "enqueues, claims and settlements with lost answers report their outcome or unknownOutcome",
            needs: [.lostAnswers, .records],
            lostRecords
        ),
    ]

    /// The answer of a store to a call.
    private enum Answer<Success: Sendable>: Sendable {
        case answered(Success)
        case unknown
        /// The store has changed nothing.
        case rejected(StoreError.Reason)
    }

    private static let rounds = 6

    /// Makes a call with a lost answer, and reopens the store if the store has failed.
    private static func losing<Success: Sendable>(
        _ run: ConformanceRun,
        _ operation: StoreOperation,
        _ body: () async throws -> Success
    ) async throws -> Answer<Success> {
        try await run.subject.loseAnswer(to: operation)
        let answer: Answer<Success>
        do {
            answer = .answered(try await body())
        } catch let error as StoreError {
            answer = error.reason == .unknownOutcome ? .unknown : .rejected(error.reason)
        }
        do {
            _ = try await run.store.get(run.key("is it there"))
        } catch {
            // A store may fail permanently after an unknown outcome.
            guard run.subject.canReopen else { throw error }
            try await run.subject.reopen()
        }
        return answer
    }

    private static func lostCommits(_ run: ConformanceRun) async throws {
        for round in 0..<rounds {
            let keys = [run.key("commit", "\(round)", "a"), run.key("commit", "\(round)", "b")]
            func values() async throws -> [[UInt8]?] { try await run.read(keys).map { $0?.value } }
            let created = try await losing(run, .commit) {
                try await run.store.commit(keys.map { .put($0, [1], .never, if: .absent) })
            }
            try await judge(run, "a create", created, before: [nil, nil], after: [[1], [1]], now: try await values())
            if case .answered(.committed(let versions)) = created {
                let read = try await run.read(keys).map { $0?.version }
                try run.expect(versions, is: read, "the versions returned by a create")
            }
            let version = try await run.put(keys[0], [2])
            try await run.committed([.delete(keys[1], if: .any)])
            let replaced = try await losing(run, .commit) {
                try await run.store.commit([
                    .put(keys[0], [3], .never, if: .version(version)), .put(keys[1], [3], .never, if: .absent),
                ])
            }
            try await judge(
                run,
                "a replacement",
                replaced,
                before: [[2], nil],
                after: [[3], [3]],
                now: try await values()
            )
            let last = try await run.put(keys[0], [4])
            try await run.committed([.delete(keys[1], if: .any)])
            let deleted = try await losing(run, .commit) {
                CommitResult(try await run.store.commit(.delete(keys[0], if: .version(last))))
            }
            try await judge(run, "a delete", deleted, before: [[4], nil], after: [nil, nil], now: try await values())
            let key = run.key("commit", "\(round)", "single")
            let single = try await losing(run, .commit) {
                CommitResult(try await run.store.commit(.put(key, [1], .never, if: .absent)))
            }
            let value = try await run.store.get(key)?.value
            try await judge(run, "a single create", single, before: [nil], after: [[1]], now: [value])
        }
    }

    /// Compares an answer with the entries that are there.
    ///
    /// There is no other writer, so every condition holds. A conflict can only come from the store's own first attempt.
    private static func judge(
        _ run: ConformanceRun,
        _ what: String,
        _ answer: Answer<CommitResult>,
        before: [[UInt8]?],
        after: [[UInt8]?],
        now: [[UInt8]?]
    ) async throws {
        switch answer {
        case .answered(.committed):
            try run.expect(now, is: after, "the entries after \(what) that was reported as made")
        case .answered(.conflict):
            throw run.violation("\(what) with a lost answer was reported as a conflict without another writer")
        case .rejected(let reason):
            try run.expect(now, is: before, "the entries after \(what) that was reported as \(reason)")
        case .unknown: try run.expect(now == before || now == after, "the entries after \(what) are \(now)")
        }
    }

    private static func lostUpdates(_ run: ConformanceRun) async throws {
        let hour = Duration.seconds(3600)
        for round in 0..<rounds {
            let keys = [run.key("update", "\(round)", "a"), run.key("update", "\(round)", "b")]
            func updates(_ amount: Int64) -> [(key: StoreKey, update: AtomicUpdate)] {
                keys.map { ($0, .add(amount, within: 0...100, expiry: hour)) }
            }
            let answer = try await losing(run, .update) { try await run.store.update(updates(1)) }
            let counts = try await run.store.update(updates(0)).decisions.map(\.remaining)
            switch answer {
            case .answered(let result):
                try run.expect(result.isApplied, "updates within their limits were reported as denied")
                try run.expect(result.decisions.map(\.remaining), is: [1, 1], "the counts that were returned")
                try run.expect(counts, is: [1, 1], "the counts after one update")
            case .rejected(let reason):
                try run.expect(counts, is: [0, 0], "the counts after an update reported as \(reason)")
            case .unknown:
                try run.expect(counts == [0, 0] || counts == [1, 1], "the counts are \(counts) after one update")
            }
        }
    }

    private static func lostRecords(_ run: ConformanceRun) async throws {
        for round in 0..<rounds {
            let queue = QueueName("lost \(round)")
            func find() async throws -> RecordInfo? { try await all(run, in: queue).first }

            let enqueued = try await losing(run, .enqueue) {
                try await run.recordStore().enqueue([record("a", in: queue)])
            }
            let isThere = try await find() != nil
            switch enqueued {
            case .answered(let results):
                try run.expect(results, is: [.enqueued], "the results for a new record")
                try run.expect(isThere, "a record that was reported as enqueued is missing")
            case .rejected(let reason):
                try run.expect(!isThere, "a record exists although its enqueue was reported as \(reason)")
            case .unknown: break
            }
            let key = run.key("with a record", "\(round)")
            let committed = try await losing(run, .commit) { () -> CommitResult in
                let writes = [StoreWrite.put(key, [1], .never, if: .absent)]
                switch try await run.recordStore().commit(writes, enqueueing: [record("b", in: queue)]) {
                case .committed(let versions, _): return .committed(versions)
                case .conflict(let index, let current): return .conflict(index: index, current: current)
                case .taken(let index, _): return .conflict(index: index, current: nil)
                }
            }
            let value = try await run.store.get(key)?.value
            try await judge(run, "a commit", committed, before: [nil], after: [[1]], now: [value])
            let isWith = try await all(run, in: queue).contains { $0.id == "b" }
            try run.expect(isWith, is: value != nil, "the existence of a commit's record, compared with its entry")

            try await lostClaims(run, QueueName("claimed \(round)"))
        }
    }

    private static func lostClaims(_ run: ConformanceRun, _ queue: QueueName) async throws {
        _ = try await run.recordStore().enqueue([record("a", in: queue)])
        func find() async throws -> RecordInfo? { try await all(run, in: queue).first }
        let claimed = try await losing(run, .claim) {
            try await run.recordStore().claim(queue, limit: 9, lease: .seconds(3600))
        }
        guard let info = try await find() else { throw run.violation("a record is gone after its claim") }
        switch claimed {
        case .answered(let claims):
            try run.expect(claims.map(\.token), is: [info.version], "the tokens in the claims of a due record")
            try run.expect(info.attempts, is: 1, "the attempts after a claim")
        case .rejected(let reason):
            try run.expect(info.attempts, is: 0, "the attempts after a claim reported as \(reason)")
        case .unknown: try run.expect(info.attempts <= 1, "\(info.attempts) attempts after one claim")
        }
        var token = info.version
        if !info.isLeased, let again = try await run.recordStore().claim(queue, limit: 1, lease: .seconds(3600)).first {
            token = again.token
        }
        let settled = try await losing(run, .settle) {
            try await run.recordStore().settle([Settlement(queue: queue, id: "a", token: token, .done)])
        }
        let isLeft = try await find() != nil
        switch settled {
        case .answered(let results):
            try run.expect(results, is: [.settled], "the results for the holder's settlement")
            try run.expect(!isLeft, "a record that was reported as done still exists")
        case .rejected(let reason):
            try run.expect(isLeft, "a record is done although its settlement was reported as \(reason)")
        case .unknown: break
        }
    }
}
