internal import ReliabilityCore
internal import ReliabilityStore

/// What a store may say of a call whose answer got lost: the truth, or that it does not know.
extension StoreConformance {
    static let answerChecks = [
        Check(
            "answers.commit",
            "a commit whose answer gets lost is told as it was or as unknown, and is not made twice",
            needs: [.lostAnswers],
            lostCommits
        ),
        Check(
            "answers.update",
            "an update whose answer gets lost is told as it was or as unknown, and is not made twice",
            needs: [.lostAnswers],
            lostUpdates
        ),
        Check(
            "answers.records",
            "enqueues, claims and settlements whose answers get lost are told as they were or as unknown",
            needs: [.lostAnswers, .records],
            lostRecords
        ),
    ]

    /// What a store said of a call.
    private enum Answer<Success: Sendable>: Sendable {
        case answered(Success)
        case unknown
        /// For any other reason than `unknownOutcome`, nothing may have changed.
        case refused(StoreError.Reason)
    }

    private static let rounds = 6

    /// Makes a call whose answer gets lost, and a store that has failed work again.
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
            answer = error.reason == .unknownOutcome ? .unknown : .refused(error.reason)
        }
        do {
            _ = try await run.store.get(run.key("is it there"))
        } catch {
            // A store may fail for good when it does not know what it holds.
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
                try run.expect(versions, is: read, "the versions that a create told")
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
                try await run.store.commit([.delete(keys[0], if: .version(last))])
            }
            try await judge(run, "a delete", deleted, before: [[4], nil], after: [nil, nil], now: try await values())
        }
    }

    /// Nobody else writes: every precondition holds, so a conflict is what the store's own first attempt left behind.
    private static func judge(
        _ run: ConformanceRun,
        _ what: String,
        _ answer: Answer<CommitResult>,
        before: [[UInt8]?],
        after: [[UInt8]?],
        now: [[UInt8]?]
    ) async throws {
        switch answer {
        case .answered(.committed): try run.expect(now, is: after, "what is there after \(what) that was told as made")
        case .answered(.conflict):
            throw run.violation("\(what) whose answer got lost was told as a conflict, and nobody else had written")
        case .refused(let reason):
            try run.expect(now, is: before, "what is there after \(what) that was told as \(reason)")
        case .unknown: try run.expect(now == before || now == after, "after \(what) there is \(now)")
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
                try run.expect(result.isApplied, "updates within their limits were told as denied")
                try run.expect(result.decisions.map(\.remaining), is: [1, 1], "the counts that were told")
                try run.expect(counts, is: [1, 1], "the counts after one update")
            case .refused(let reason):
                try run.expect(counts, is: [0, 0], "the counts after an update told as \(reason)")
            case .unknown:
                try run.expect(counts == [0, 0] || counts == [1, 1], "the counts are \(counts) after one update")
            }
        }
    }

    private static func lostRecords(_ run: ConformanceRun) async throws {
        for round in 0..<rounds {
            let queue = RecordQueue("lost \(round)")
            func find() async throws -> RecordInfo? { try await all(run, in: queue).first }

            let enqueued = try await losing(run, .enqueue) {
                try await run.recordStore().enqueue([record("a", in: queue)])
            }
            let isThere = try await find() != nil
            switch enqueued {
            case .answered(let results):
                try run.expect(results, is: [.enqueued], "what was told of a new record")
                try run.expect(isThere, "a record that was told as enqueued is not there")
            case .refused(let reason): try run.expect(!isThere, "a record is there, and was told as \(reason)")
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
            try run.expect(isWith, is: value != nil, "whether a commit's record is there, if its entry is")

            try await lostClaims(run, RecordQueue("claimed \(round)"))
        }
    }

    private static func lostClaims(_ run: ConformanceRun, _ queue: RecordQueue) async throws {
        _ = try await run.recordStore().enqueue([record("a", in: queue)])
        func find() async throws -> RecordInfo? { try await all(run, in: queue).first }
        let claimed = try await losing(run, .claim) {
            try await run.recordStore().claim(queue, limit: 9, lease: .seconds(3600))
        }
        guard let info = try await find() else { throw run.violation("a record is gone after its claim") }
        switch claimed {
        case .answered(let claims):
            try run.expect(claims.map(\.token), is: [info.version], "the tokens that were told of a record that is due")
            try run.expect(info.attempts, is: 1, "the attempts after a claim")
        case .refused(let reason): try run.expect(info.attempts, is: 0, "the attempts after a claim told as \(reason)")
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
            try run.expect(results, is: [.settled], "what was told of the holder's settlement")
            try run.expect(!isLeft, "a record that was told as done is there")
        case .refused(let reason): try run.expect(isLeft, "a record is done, and that was told as \(reason)")
        case .unknown: break
        }
    }
}
