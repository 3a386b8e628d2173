internal import ReliabilityCore
internal import ReliabilityStore

/// What holds when several processes use one store.
extension StoreConformance {
    static let clientChecks = [
        Check(
            "clients.oneStore",
            "what one client has written, the other sees at once and can build on",
            needs: [.secondClient],
            clientsShareEntries
        ),
        Check(
            "clients.versions",
            "versions increase from one client to the other",
            needs: [.secondClient],
            clientsShareVersions
        ),
        Check(
            "clients.createOnce",
            "of many that create or count through two clients, none is lost and none is doubled",
            needs: [.secondClient],
            clientsCompete
        ),
        Check(
            "clients.oneClock",
            "when an entry ends, and what an update allows, does not depend on a client's clock",
            needs: [.secondClient],
            clientsShareTime
        ),
        Check(
            "clients.dueTimes",
            "when a record is due, and when a lease ends, does not depend on a client's clock",
            needs: [.secondClient, .records],
            clientsShareDueTimes
        ),
        Check(
            "clients.claims",
            "two clients claim no record both, and a late one settles nothing of the other's",
            needs: [.secondClient, .records],
            clientsShareRecords
        ),
        Check(
            "clients.owner",
            "a store that two clients use does not take either for its only owner",
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
            // Each has read before, and must not remember.
            try run.expect(try await reader.get(key) == nil, "a deleted entry was read in round \(round)")
            let created = try await writer.commit([.put(key, value, .after(.seconds(3600)), if: .absent)])
            let entry = try await reader.get(key)
            try run.expect(entry?.value, is: value, "what the other client reads in round \(round)")
            try run.expect(created, is: .committed([entry?.version]), "a create, by the version that is read")
            let page = try await reader.scan(key, after: nil, limit: 9)
            try run.expect(page.entries.map(\.entry.value), is: [value], "what the other client scans")
            guard let version = entry?.version else { continue }
            let again = try await reader.commit([.put(key, [99], .never, if: .absent)])
            guard case .conflict(0, let current) = again else {
                throw run.violation("two clients created one key: \(again)")
            }
            try run.expect(current?.version, is: version, "what is in the way of the other client")
            let replaced = try await reader.commit([.put(key, [50], .keep, if: .version(version))])
            guard case .committed(let versions) = replaced, let next = versions.first, let next else {
                throw run.violation("the other client could not replace what it read: \(replaced)")
            }
            let late = try await writer.commit([.put(key, [51], .never, if: .version(version))])
            guard case .conflict(0, let owner) = late else {
                throw run.violation("a client replaced what the other had replaced: \(late)")
            }
            try run.expect(owner?.version, is: next, "what is in the way of the first client")
            let deleted = try await writer.commit([.delete(key, if: .version(next))])
            try run.expect(deleted, is: .committed([nil]), "a delete of what the other client wrote")
        }
    }

    private static func clientsShareVersions(_ run: ConformanceRun) async throws {
        let clients = [run.store, try await run.subject.secondClient()]
        var last = StoreVersion(rawValue: 0)
        for step in 0..<60 {
            // By turns, and in runs.
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
                    try await client.modify(counted, expiry: .never, attempts: 10_000) { value in
                        number((value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } ?? 0) + 1)
                    }
                    let isAllowed = try await client.update([(limited, limit)]).isApplied
                    if case .committed = result { return (1, isAllowed ? 1 : 0) }
                    return (0, isAllowed ? 1 : 0)
                }
            }
            return try await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
        }
        try run.expect(winners, is: 1, "how many of 64 created the key")
        try run.expect(allowed, is: 20, "how many of 64 were allowed by \(limit)")
        try await run.expect(counted, holds: number(64), "after 64 increments")
    }

    /// The second client's clock is ten minutes ahead: whatever is computed by it is wrong by that.
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
                        throw run.violation("an entry \(key) by \(who) for 2 s is gone at once, or lives for ever")
                    }
                    try run.expect(remaining <= .milliseconds(2001), "2 s by \(who) have become \(remaining)")
                }
            }
            // Four at once, whoever asks.
            let update = AtomicUpdate.gcra(interval: .seconds(2), burst: 4, cost: 1)
            var allowed: [Bool] = []
            for step in 0..<6 {
                allowed.append(try await clients[(writer + step) % 2].update([(counter, update)]).isApplied)
            }
            try run.expect(allowed, is: [true, true, true, true, false, false], "six hits by two clients")
            try await run.advance(.milliseconds(2002))
            for client in [clients[reader], clients[writer]] {
                let entries = try await client.get([put, touched])
                try run.expect(entries, is: [nil, nil], "what \(who) wrote for 2 s, 2 s later")
            }
            let first = try await clients[reader].update([(counter, update)])
            try run.expect(first.isApplied, "a hit after as long as one takes to come back was denied")
        }
    }

    private static func clientsShareDueTimes(_ run: ConformanceRun) async throws {
        let stores = [try run.recordStore(), try await recordClient(run)]
        for (writer, reader) in [(0, 1), (1, 0)] {
            let who = writer == 0 ? "the first client" : "the client whose clock is ahead"
            let (now, later) = ("now by \(writer)", "later by \(writer)")
            _ = try await stores[writer].enqueue([record(now), record(later, delay: .seconds(2))])
            let due = try await stores[reader].nextDue(queue)
            try run.expect(due, is: .zero, "when the other client finds due what \(who) enqueued for now")
            let claims = try await stores[reader].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(claims.map(\.id), is: [now], "what the other client claims of what \(who) enqueued")
            let held = try await stores[writer].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(held.map(\.id), is: [], "what \(who) claims while the other holds it")
            try await run.advance(.milliseconds(2002))
            let retaken = try await stores[writer].claim(queue, limit: 9, lease: .seconds(4)).sorted { $0.id < $1.id }
            try run.expect(retaken.map(\.id), is: [later, now], "what \(who) claims when the other's lease is over")
            let retry = Settlement.Action.retry(after: .seconds(2), countsAttempt: true)
            let settled = try await stores[writer].settle(retaken.map { Settlement($0, retry) })
            try run.expect(settled, is: [.settled, .settled], "what became of two retries")
            let early = try await stores[reader].claim(queue, limit: 9, lease: .seconds(2))
            try run.expect(early.map(\.id), is: [], "what the other client claims of what \(who) put off by 2 s")
            try await run.advance(.milliseconds(2002))
            let last = try await stores[reader].claim(queue, limit: 9, lease: .seconds(60)).sorted { $0.id < $1.id }
            try run.expect(last.map(\.id), is: [later, now], "what the other client claims 2 s later")
            _ = try await stores[reader].settle(last.map { Settlement($0, .done) })
        }
    }

    private static func clientsShareRecords(_ run: ConformanceRun) async throws {
        let stores = [try run.recordStore(), try await recordClient(run)]
        let ids = (0..<100).map { "\($0)" }
        for id in ids { _ = try await stores[0].enqueue([record(id)]) }
        let again = try await stores[1].enqueue([record("7")])
        try run.expect(again, is: [.duplicate], "a record that the other client has enqueued")
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
        try run.expect(claims.map(\.id).sorted(), is: ids.sorted(), "what two clients claimed together")
        try run.expect(Set(claims.map(\.token)).count, is: ids.count, "the different tokens")
        for (step, claim) in claims.enumerated() {
            // Whoever settles has the token: which client it uses does not matter.
            let result = try await stores[step % 2].settle([Settlement(claim, .done)])
            try run.expect(result, is: [.settled], "a settlement")
        }
        _ = try await stores[0].enqueue([record("late")])
        for (first, second) in [(0, 1), (1, 0)] {
            let late = try await stores[first].claim(queue, limit: 1, lease: .milliseconds(10))
            try await run.advance(.milliseconds(12))
            let owner = try await stores[second].claim(queue, limit: 1, lease: .milliseconds(10))
            try run.expect(owner.map(\.attempt), is: late.map { $0.attempt + 1 }, "the attempt of a second client")
            for (late, owner) in zip(late, owner) {
                try run.expect(owner.token > late.token, "a claim by another client has no later token")
                let result = try await stores[first].settle([Settlement(late, .done)])
                try run.expect(result, is: [.stale], "the settlement of the client that was too late")
            }
            try await run.advance(.milliseconds(12))
        }
    }

    private static func recordClient(_ run: ConformanceRun) async throws -> any RecordStore {
        guard let client = try await run.subject.secondClient() as? any RecordStore else {
            throw run.violation("the second client keeps no records")
        }
        return client
    }

    private static func clientsAreNoOwners(_ run: ConformanceRun) async throws {
        let first = run.store.capabilities
        let second = try await run.subject.secondClient().capabilities
        // Each would take over at once what the other's workers are doing.
        try run.expect(first.openedAt == nil, "a store with two clients has an openedAt")
        try run.expect(second, is: first, "the capabilities of the second client")
    }
}
