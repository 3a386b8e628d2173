internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let recordNameChecks = [
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
}
