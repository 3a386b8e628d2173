internal import ReliabilityCore
internal import ReliabilityStore

/// Checks for a store that several processes use.
extension StoreConformance {
    static let clientChecks = [
        Check(
            "clients.oneStore",
            "a client immediately reads and can replace the entries of another client",
            needs: [.secondClient],
            clientsShareEntries
        ),
        Check(
            "clients.versions",
            "versions increase across clients",
            needs: [.secondClient],
            clientsShareVersions
        ),
        Check(
            "clients.createOnce",
            "creates and counts through two clients are neither lost nor doubled",
            needs: [.secondClient],
            clientsCompete
        ),
        Check(
            "clients.oneClock",
            "the end of an entry and the decision of an update do not depend on a client's clock",
            needs: [.secondClient],
            clientsShareTime
        ),
        Check(
            "clients.dueTimes",
            "due times and lease ends do not depend on a client's clock",
            needs: [.secondClient, .records],
            clientsShareDueTimes
        ),
        Check(
            "clients.claims",
            "two clients never claim the same record, and a late client settles no record of the other client",
            needs: [.secondClient, .records],
            clientsShareRecords
        ),
        Check(
            "clients.owner",
            "a store with two clients does not report a single owner",
            needs: [.secondClient],
            clientsAreNoOwners
        ),
    ]

    private static func clientsShareEntries(_ run: ConformanceRun) async throws {
        let clients = [run.store, try await run.subject.secondClient()]
        let key = run.key("shared")
        for round in 0..<6 {
            let (writer, reader) = (clients[round % 2], clients[(round + 1) % 2])
            let value = [UInt8(round)]
            // Each client has read the key before and must not use a cached entry.
            try run.expect(try await reader.get(key) == nil, "a deleted entry was read in round \(round)")
            let created = try await writer.commit([.put(key, value, .after(.seconds(3600)), if: .absent)])
            let entry = try await reader.get(key)
            try run.expect(entry?.value, is: value, "the value read by the other client in round \(round)")
            try run.expect(
                created,
                is: .committed([entry?.version]),
                "the result of a create, compared with the version that is read"
            )
            let page = try await reader.scan(key, after: nil, limit: 9)
            try run.expect(page.entries.map(\.entry.value), is: [value], "the values scanned by the other client")
            guard let version = entry?.version else { continue }
            let again = try await reader.commit([.put(key, [99], .never, if: .absent)])
            guard case .conflict(0, let current) = again else {
                throw run.violation("two clients created the same key: \(again)")
            }
            try run.expect(current?.version, is: version, "the version in the conflict of the other client")
            let replaced = try await reader.commit([.put(key, [50], .keep, if: .version(version))])
            guard case .committed(let versions) = replaced, let next = versions.first, let next else {
                throw run.violation("the other client could not replace the entry that it read: \(replaced)")
            }
            let late = try await writer.commit([.put(key, [51], .never, if: .version(version))])
            guard case .conflict(0, let owner) = late else {
                throw run.violation("a client replaced an entry that the other client had replaced: \(late)")
            }
            try run.expect(owner?.version, is: next, "the version in the conflict of the first client")
            let deleted = try await writer.commit([.delete(key, if: .version(next))])
            try run.expect(deleted, is: .committed([nil]), "the delete of an entry of the other client")
        }
    }

    private static func clientsShareVersions(_ run: ConformanceRun) async throws {
        let clients = [run.store, try await run.subject.secondClient()]
        var last = StoreVersion(rawValue: 0)
        for step in 0..<60 {
            // First the clients alternate. Then each client makes seven writes in a row.
            let client = clients[step < 20 ? step % 2 : (step / 7) % 2]
            let result = try await client.commit([.put(run.key("\(step % 3)"), [1], .never, if: .any)])
            guard case .committed(let versions) = result, let version = versions.first, let version else {
                throw run.violation("a put was not made: \(result)")
            }
            try run.expect(version > last, "version \(version) of one client after \(last) of the other")
            last = version
        }
    }

    private static func clientsCompete(_ run: ConformanceRun) async throws {
        let clients = [run.store, try await run.subject.secondClient()]
        let (created, counted, limited) = (run.key("created"), run.key("counted"), run.key("limited"))
        let limit = AtomicUpdate.gcra(interval: .seconds(3600), burst: 20, cost: 1)
        let (winners, allowed) = try await withThrowingTaskGroup { group in
            for task in 0..<64 {
                let client = clients[task % 2]
                group.addTask {
                    let result = try await client.commit([.put(created, [1], .after(.seconds(3600)), if: .absent)])
                    try await client.modify(counted, expiry: .never, maxAttempts: 10_000) { value in
                        number((value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0) + 1)
                    }
                    let isAllowed = try await client.update([(limited, limit)]).isApplied
                    if case .committed = result { return (1, isAllowed ? 1 : 0) }
                    return (0, isAllowed ? 1 : 0)
                }
            }
            return try await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
        }
        try run.expect(winners, is: 1, "the number of 64 tasks that created the key")
        try run.expect(allowed, is: 20, "the number of 64 updates allowed by \(limit)")
        try await run.expect(counted, holds: number(64), "after 64 increments")
    }

    /// The second client's clock is ten minutes ahead.
    ///
    /// A time computed from this clock is wrong by ten minutes.
    private static func clientsShareTime(_ run: ConformanceRun) async throws {
        let clients = [run.store, try await run.subject.secondClient()]
        for (writer, reader) in [(0, 1), (1, 0)] {
            let who = writer == 0 ? "the first client" : "the client whose clock is ahead"
            let (put, touched, counter) = (
                run.key("put", "\(writer)"), run.key("touched", "\(writer)"), run.key("counter", "\(writer)")
            )
            let life = Expiry.after(.seconds(2))
            _ = try await clients[writer].commit([
                .put(put, [1], life, if: .absent), .put(touched, [1], .never, if: .absent),
            ])
            _ = try await clients[writer].commit([.touch(touched, life, if: .present)])
            for client in [clients[reader], clients[writer]] {
                for (key, entry) in zip(["put", "touched"], try await client.get([put, touched])) {
                    guard let remaining = entry?.remaining else {
                        throw run.violation("an entry \(key) by \(who) for 2 s is already absent or lives forever")
                    }
                    try run.expect(remaining <= .milliseconds(2001), "an entry by \(who) for 2 s has \(remaining) left")
                }
            }
            // A burst of four, from either client.
            let update = AtomicUpdate.gcra(interval: .seconds(2), burst: 4, cost: 1)
            var allowed: [Bool] = []
            for step in 0..<6 {
                allowed.append(try await clients[(writer + step) % 2].update([(counter, update)]).isApplied)
            }
            try run.expect(allowed, is: [true, true, true, true, false, false], "six hits by two clients")
            try await run.advance(.milliseconds(2002))
            for client in [clients[reader], clients[writer]] {
                let entries = try await client.get([put, touched])
                try run.expect(entries, is: [nil, nil], "the entries by \(who) for 2 s, 2 s later")
            }
            let first = try await clients[reader].update([(counter, update)])
            try run.expect(first.isApplied, "a hit was denied after the time in which a hit is restored")
        }
    }

    private static func clientsShareDueTimes(_ run: ConformanceRun) async throws {
        let stores = [try run.recordStore(), try await recordClient(run)]
        for (writer, reader) in [(0, 1), (1, 0)] {
            let who = writer == 0 ? "the first client" : "the client whose clock is ahead"
            let (now, later) = ("now by \(writer)", "later by \(writer)")
            _ = try await stores[writer].enqueue([record(now), record(later, delay: .seconds(2))])
            let due = try await stores[reader].nextDue(queue)
            try run.expect(
                due.map { $0 <= .zero },
                is: true,
                "whether a record is due: the time until the other client's next due record after an enqueue by \(who)"
            )
            let claims = try await stores[reader].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(
                claims.map(\.id),
                is: [now],
                "the ids that the other client claims after an enqueue by \(who)"
            )
            let held = try await stores[writer].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(held.map(\.id), is: [], "the ids that \(who) claims while the other client holds the record")
            try await run.advance(.milliseconds(2002))
            let retaken = try await stores[writer].claim(queue, limit: 9, lease: .seconds(4)).sorted { $0.id < $1.id }
            try run.expect(
                retaken.map(\.id),
                is: [later, now],
                "the ids that \(who) claims after the other client's lease"
            )
            let retry = Settlement.Action.retry(after: .seconds(2), countsAttempt: true)
            let settled = try await stores[writer].settle(retaken.map { Settlement($0, retry) })
            try run.expect(settled, is: [.settled, .settled], "the results of two retries")
            let early = try await stores[reader].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(
                early.map(\.id),
                is: [],
                "the ids that the other client claims before retries of \(who) are due"
            )
            try await run.advance(.milliseconds(2002))
            let last = try await stores[reader].claim(queue, limit: 9, lease: .seconds(60)).sorted { $0.id < $1.id }
            try run.expect(last.map(\.id), is: [later, now], "the ids that the other client claims 2 s later")
            _ = try await stores[reader].settle(last.map { Settlement($0, .done) })
        }
    }

    private static func clientsShareRecords(_ run: ConformanceRun) async throws {
        let stores = [try run.recordStore(), try await recordClient(run)]
        let ids = (0..<100).map { "\($0)" }
        for id in ids { _ = try await stores[0].enqueue([record(id)]) }
        let again = try await stores[1].enqueue([record("7")])
        try run.expect(again, is: [.duplicate], "the enqueue of a record of the other client")
        let claims = try await withThrowingTaskGroup { group in
            for task in 0..<16 {
                let store = stores[task % 2]
                group.addTask {
                    var claims: [RecordClaim] = []
                    while claims.count <= ids.count {
                        let more = try await store.claim(queue, limit: 3, lease: .seconds(3600))
                        if more.isEmpty { break }
                        claims += more
                    }
                    return claims
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try run.expect(claims.map(\.id).sorted(), is: ids.sorted(), "the ids claimed by two clients")
        try run.expect(Set(claims.map(\.token)).count, is: ids.count, "the number of different tokens")
        for (step, claim) in claims.enumerated() {
            // The token decides, so either client can settle.
            let result = try await stores[step % 2].settle([Settlement(claim, .done)])
            try run.expect(result, is: [.settled], "a settlement")
        }
        _ = try await stores[0].enqueue([record("late")])
        for (first, second) in [(0, 1), (1, 0)] {
            let late = try await stores[first].claim(queue, limit: 1, lease: .milliseconds(10))
            try await run.advance(.milliseconds(12))
            let owner = try await stores[second].claim(queue, limit: 1, lease: .milliseconds(10))
            try run.expect(owner.map(\.attempt), is: late.map { $0.attempt + 1 }, "the attempt of the second client")
            for (late, owner) in zip(late, owner) {
                try run.expect(owner.token > late.token, "a claim by another client has no later token")
                let result = try await stores[first].settle([Settlement(late, .done)])
                try run.expect(result, is: [.stale], "the settlement of the late client")
            }
            try await run.advance(.milliseconds(12))
        }
    }

    private static func recordClient(_ run: ConformanceRun) async throws -> any RecordStore {
        guard let client = try await run.subject.secondClient() as? any RecordStore else {
            throw run.violation("the second client is not a RecordStore")
        }
        return client
    }

    private static func clientsAreNoOwners(_ run: ConformanceRun) async throws {
        let first = run.store.capabilities
        let second = try await run.subject.secondClient().capabilities
        // With an openedAt, each client would immediately take over the work of the other client's workers.
        try run.expect(first.openedAt == nil, "a store with two clients has an openedAt")
        try run.expect(second, is: first, "the capabilities of the second client")
    }
}
