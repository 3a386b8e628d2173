internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

/// Checks for a store that is reopened or crashes. The same checks run with `reopen` and with `crash`.
extension StoreConformance {
    static let reopeningChecks = checks("reopen", "a reopen", [.reopening]) { run in
        try await run.subject.reopen()
    }

    static let crashChecks =
        checks("crash", "a crash", [.crashing]) { run in
            try await run.subject.crash()
        } + [
            Check(
                "crash.underWay",
                "every acknowledged commit survives a crash, and no commit survives in part",
                needs: [.crashing],
                crashUnderWay
            )
        ]

    private typealias Again = @Sendable (ConformanceRun) async throws -> Void

    private static func checks(_ name: String, _ event: String, _ needs: Set<Need>, _ again: @escaping Again) -> [Check]
    {
        [
            Check("\(name).entries", "a store holds the same entries after \(event)", needs: needs) { run in
                try await entriesStay(run, again)
            },
            Check("\(name).versions", "a store uses no version again after \(event)", needs: needs) { run in
                try await versionsGoOn(run, again)
            },
            Check("\(name).expiry", "lives continue during \(event), and expired entries stay absent", needs: needs) {
                run in
                try await livesGoOn(run, again)
            },
            Check(
                "\(name).records",
                "a store holds the same records in the same states after \(event)",
                needs: needs.union([.records])
            ) { run in try await recordsStay(run, again) },
            Check(
                "\(name).leases",
                "after \(event), the leases of a store with one owner have ended, and the leases of a shared store hold",
                needs: needs.union([.records])
            ) { run in try await leases(run, again) },
            Check(
                "\(name).owner",
                "after \(event), a store with one owner separates earlier versions from its own by openedAt",
                needs: needs
            ) { run in try await ownerChanges(run, again) },
        ]
    }

    private static func entriesStay(_ run: ConformanceRun, _ again: Again) async throws {
        let names = ["plain", "empty", "large", "ending", "touched", "rewritten", "counter", "deleted", "never there"]
        let keys = names.map { run.key($0) } + (0..<100).map { run.key("many", "\($0)") }
        try await run.put(keys[0], Array(0...255))
        try await run.put(keys[1], [])
        try await run.put(keys[2], [UInt8](repeating: 7, count: min(4096, run.store.capabilities.maxValueBytes)))
        for position in 3...5 { try await run.put(keys[position], [UInt8(position)], .after(.seconds(3600))) }
        try await run.committed([.touch(keys[4], .never, if: .present), .put(keys[5], [55], .keep, if: .present)])
        let add = AtomicUpdate.add(3, within: 0...100, expiry: .seconds(3600))
        _ = try await run.store.update([(keys[6], add)])
        try await run.put(keys[7], [7])
        try await run.committed([.delete(keys[7], if: .present)])
        for key in keys.dropFirst(names.count) { try await run.put(key, [1]) }
        for round in 1...3 {
            let before = try await run.read(keys)
            try await again(run)
            for (index, entry) in try await run.read(keys).enumerated() {
                let (old, name) = (before[index], index < names.count ? "\"\(names[index])\"" : "an entry of many")
                try run.expect(entry?.value, is: old?.value, "\(name) in round \(round)")
                try run.expect(entry?.version, is: old?.version, "the version of \(name) in round \(round)")
                try run.expect(
                    entry?.remaining == nil,
                    is: old?.remaining == nil,
                    "the absence of an expiry of \(name)"
                )
            }
            var scanned: [StoreKey] = []
            var after: StoreKey?
            for _ in 0...keys.count {
                let page = try await run.store.scan(StoreKey(ConformanceRun.keyspace), after: after, limit: 1000)
                scanned += page.entries.map(\.key)
                after = page.next
                if after == nil { break }
            }
            let expected = zip(keys, before).filter { $0.1 != nil }.map(\.0).sorted()
            try run.expect(scanned, is: expected, "the keys of a scan in round \(round)")
            let counted = try await run.store.update([(keys[6], add)])
            try run.expect(
                counted.decisions.map(\.remaining),
                is: [Int64(3 + 3 * round)],
                "a counter in round \(round)"
            )
            // The next round tests a delete and a put after a reopen.
            try await run.committed([
                .delete(keys[8 + round], if: .present), .put(keys[0], [UInt8(round)], .never, if: .present),
            ])
        }
    }

    private static func versionsGoOn(_ run: ConformanceRun, _ again: Again) async throws {
        var issued: [StoreVersion] = []
        for round in 1...3 {
            let (gone, ended, counter) = (run.key("gone"), run.key("ended"), run.key("counter"))
            issued.append(try await run.put(run.key("stays"), [1]))
            let add = AtomicUpdate.add(1, within: 0...100, expiry: .seconds(3600))
            _ = try await run.store.update([(counter, add)])
            if let version = try await run.store.get(counter)?.version { issued.append(version) }
            if let store = run.store as? any RecordStore {
                _ = try await store.enqueue([record("\(round)")])
                let claims = try await store.claim(queue, limit: 1, lease: .seconds(60))
                issued += claims.map(\.token)
                _ = try await store.settle(claims.map { Settlement($0, .done) })
            }
            issued.append(try await run.put(ended, [1], .after(.milliseconds(10))))
            // The highest version belongs to an entry that is deleted.
            let late = try await run.put(gone, [1])
            issued.append(late)
            try await run.committed([.delete(gone, if: .version(late))])
            try await run.advance(.milliseconds(20))
            try await again(run)
            if round == 2 { try await again(run) }
            let next = try await run.put(gone, [1], if: .absent)
            let last = issued.max() ?? next
            try run.expect(next > last, "version \(next) was issued in round \(round) after \(last)")
            _ = try await run.conflicting([.put(gone, [9], .never, if: .version(late))])
            try await run.committed([.delete(gone, if: .version(next))])
            issued.append(next)
        }
        try run.expect(
            Set(issued).count,
            is: issued.count,
            "the number of different versions among all issued versions"
        )
    }

    private static func livesGoOn(_ run: ConformanceRun, _ again: Again) async throws {
        let (seen, unseen, ending, never) = (run.key("seen"), run.key("unseen"), run.key("ending"), run.key("never"))
        let lasting = run.key("lasting")
        try await run.put(seen, [1], .after(.milliseconds(10)))
        try await run.put(unseen, [1], .after(.seconds(1)))
        try await run.put(ending, [1], .after(.seconds(6)))
        try await run.put(lasting, [1], .after(.seconds(3600)))
        try await run.put(never, [1])
        try await run.advance(.milliseconds(20))
        try await run.expect(seen, holds: nil, "after its life of 10 ms")
        try await again(run)
        try await run.expect(seen, holds: nil, "an entry that was absent before the store was reopened")
        // No call reads the entry before it ends: time also passes for a closed store.
        try await run.advance(.seconds(2))
        try await again(run)
        try await run.expect(unseen, holds: nil, "an entry with a life of 1 s, 1 s after its end in a reopened store")
        try await run.put(unseen, [2], if: .absent)
        // If time does not stand still, a reopen may take longer than a short life.
        guard let left = try await run.store.get(lasting)?.remaining else {
            throw run.violation("an entry with a life of an hour is absent after 2 s or lives forever")
        }
        try run.expect(left <= .milliseconds(3_597_982), "2 s into a life of an hour, \(left) are left")
        try run.expect(left > .seconds(1800), "2 s into a life of an hour, \(left) are left")
        if run.isExact {
            guard let remaining = try await run.store.get(ending)?.remaining else {
                throw run.violation("an entry with a life of 6 s is absent after 2 s or lives forever")
            }
            let isRight = remaining <= .milliseconds(3982) && remaining > .milliseconds(3978)
            try run.expect(isRight, "2 s into a life of 6 s, \(remaining) are left")
            try await run.advance(remaining)
        } else {
            try await run.advance(.milliseconds(3984))
        }
        try await run.expect(ending, holds: nil, "at the end of its life")
        try await again(run)
        try await run.expect(ending, holds: nil, "after the end of its life in a reopened store")
        try await run.expect(never, holds: [1], "an entry without expiry")
    }

    private static func recordsStay(_ run: ConformanceRun, _ again: Again) async throws {
        let store = try run.recordStore()
        // If time does not stand still, a reopen may take longer than a short wait.
        let wait = Duration.seconds(run.isExact ? 5 : 3600)
        _ = try await store.enqueue(["dead", "done", "retried"].map { record($0) })
        var claims = try await store.claim(queue, limit: 9, lease: .seconds(3600))
        for claim in claims {
            let action: Settlement.Action =
                switch claim.id {
                case "dead": .deadLetter(reason: "the last error: \u{1F4A5}")
                case "done": .done
                default: .retry(after: wait, countsAttempt: true)
                }
            try run.expect(try await store.settle([Settlement(claim, action)]), is: [.settled], "a settlement")
        }
        try await run.committed([.put(run.key("data"), [1], .never, if: .absent)], enqueueing: [record("committed")])
        _ = try await store.enqueue([record("\u{E9}"), record("e\u{301}"), record("later", delay: .seconds(3600))])
        _ = try await store.enqueue([record("dead", in: "other")])
        let before = try await all(run)
        let counts = try await store.counts(queue)
        for _ in 1...2 {
            try await again(run)
            try run.expect(try await all(run), is: before, "the records")
            try run.expect(try await run.recordStore().counts(queue), is: counts, "the counts")
            let elsewhere = try await all(run, in: "other").map(\.id)
            try run.expect(elsewhere, is: ["dead"], "the records of another queue")
        }
        let opened = try run.recordStore()
        let added = try await opened.enqueue([record("dead"), record("retried"), record("committed"), record("done")])
        try run.expect(
            added,
            is: [.taken(by: .deadLetter), .duplicate, .duplicate, .enqueued],
            "the enqueue of existing records and of a completed record"
        )
        claims = try await opened.claim(queue, limit: 9, lease: .seconds(3600))
        try run.expect(Set(claims.map { Array($0.id.utf8) }).count, is: 4, "the number of due records")
        try run.expect(!claims.contains { $0.id == "retried" }, "a record was claimed before its retry was due")
        for claim in claims { try run.expect(claim.payload, is: record(claim.id).payload, "a payload") }
        if run.isExact {
            try await run.advance(.milliseconds(5002))
        } else if let waiting = try await all(run).first(where: { $0.id == "retried" }) {
            let now = Settlement.Action.retry(after: .zero, countsAttempt: true)
            let token = Settlement(queue: queue, id: "retried", token: waiting.version, now)
            try run.expect(
                try await opened.settle([token]),
                is: [.settled],
                "a retry with a token from before the reopen"
            )
        }
        claims = try await opened.claim(queue, limit: 9, lease: .seconds(3600))
        try run.expect(claims.map(\.id), is: ["retried"], "the ids claimed after the wait for a retry")
        try run.expect(claims.map(\.attempt), is: [2], "the attempt of a record claimed before the reopen")
        try run.expect(!claims.contains(where: \.wasAbandoned), "a settled record counts as abandoned")
        guard let dead = before.first(where: { $0.deadLetterReason != nil }) else {
            throw run.violation("a dead letter is on no page")
        }
        let redrive = Settlement(queue: queue, id: dead.id, token: dead.version, .redrive)
        try run.expect(
            try await opened.settle([redrive]),
            is: [.settled],
            "a redrive with a token from before the reopen"
        )
    }

    private static func leases(_ run: ConformanceRun, _ again: Again) async throws {
        var store = try run.recordStore()
        _ = try await store.enqueue([record("a"), record("held", in: "held")])
        let held = try await store.claim("held", limit: 1, lease: .seconds(3600))
        guard let late = try await store.claim(queue, limit: 1, lease: .seconds(4)).first else {
            throw run.violation("a due record was not claimed")
        }
        try await again(run)
        store = try run.recordStore()
        if store.capabilities.openedAt == nil {
            // If time does not stand still, a reopen may take longer than a short lease.
            let early = try await store.claim(run.isExact ? queue : "held", limit: 1, lease: .seconds(1))
            try run.expect(early.count, is: 0, "the number of claims of a record that another process holds")
            let both = [Settlement(late, .extend(.seconds(4)))] + held.map { Settlement($0, .extend(.seconds(3600))) }
            try run.expect(try await store.settle(both), is: [.settled, .settled], "the holders' extensions")
            try await run.advance(.milliseconds(4002))
            let still = try await store.claim("held", limit: 1, lease: .seconds(1))
            try run.expect(still.count, is: 0, "the number of claims of a record with an extended lease")
        }
        guard let owner = try await store.claim(queue, limit: 1, lease: .seconds(3600)).first else {
            throw run.violation("a record was not claimed although the lease of the earlier owner has ended")
        }
        try run.expect(owner.attempt, is: 2, "the attempt")
        try run.expect(owner.wasAbandoned, "a claim does not report that the earlier owner never settled")
        try run.expect(owner.token > late.token, "a claim has no later token than a claim before the reopen")
        for action in [Settlement.Action.done, .extend(.seconds(1)), .deadLetter(reason: "late")] {
            let result = try await store.settle([Settlement(late, action)])
            try run.expect(result, is: [.stale], "\(action) with the token of the earlier owner")
        }
        try run.expect(try await store.settle([Settlement(owner, .done)]), is: [.settled], "the new owner's settlement")
    }

    private static func ownerChanges(_ run: ConformanceRun, _ again: Again) async throws {
        var issued = StoreVersion(rawValue: 0)
        let before = run.store.capabilities
        for round in 1...3 {
            issued = max(issued, try await run.put(run.key("entry"), [1]))
            let gone = try await run.put(run.key("gone"), [1])
            issued = max(issued, gone)
            try await run.committed([.delete(run.key("gone"), if: .any)])
            try await again(run)
            var capabilities = run.store.capabilities
            let openedAt = capabilities.openedAt
            capabilities.openedAt = before.openedAt
            try run.expect(capabilities, is: before, "the capabilities in round \(round)")
            try run.expect(openedAt == nil, is: before.openedAt == nil, "the absence of openedAt")
            guard let openedAt else { continue }
            try run.expect(openedAt > issued, "openedAt is \(openedAt), but \(issued) was issued to the earlier owner")
            let next = try await run.put(run.key("entry"), [1])
            try run.expect(next >= openedAt, "version \(next) was issued, below openedAt \(openedAt)")
        }
    }

    private static func crashUnderWay(_ run: ConformanceRun) async throws {
        let store = run.store
        let acknowledged = EventRecorder<Int>()
        let ended = EventRecorder<String?>()
        func keys(_ number: Int) -> [StoreKey] { ["left", "right"].map { run.key("pair", $0, "\(number)") } }
        func write(_ number: Int) async throws {
            let writes = keys(number).map { StoreWrite.put($0, Self.number(number), .never, if: .absent) }
            if let records = store as? any RecordStore {
                let result = try await records.commit(writes, enqueueing: [record("\(number)")])
                if case .committed = result { acknowledged.record(number) }
            } else if case .committed = try await store.commit(writes) {
                acknowledged.record(number)
            }
        }
        let writers = (0..<16).map { writer in
            // After the crash, a writer gets errors or answers without a recipient.
            Task {
                for step in 0..<8 {
                    do {
                        try await write(8 * writer + step)
                        ended.record(nil)
                    } catch { ended.record("\(error)") }
                }
            }
        }
        if let failure = await ended.wait(for: 48).compactMap({ $0 }).first {
            for writer in writers { await writer.value }
            throw run.violation("a commit failed before the crash: \(failure)")
        }
        let before = acknowledged.events
        try await run.subject.crash()
        for writer in writers { await writer.value }
        let records = run.store is any RecordStore ? Set(try await all(run).map(\.id)) : nil
        for number in 0..<128 {
            let entries = try await run.read(keys(number))
            let count =
                entries.count { $0?.value == Self.number(number) } + (records?.contains("\(number)") == true ? 1 : 0)
            let whole = records == nil ? 2 : 3
            try run.expect(count == 0 || count == whole, "\(count) of \(whole) parts of a commit survived the crash")
            try run.expect(count > 0 || !before.contains(number), "an acknowledged commit is missing")
        }
    }
}
