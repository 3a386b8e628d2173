import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

extension Inspector {
    // MARK: verify

    func verify(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        if options.isJSON {
            print(inspection.json)
        } else {
            for line in inspection.lines { print(line) }
        }
        return inspection.problem == nil ? ExitCode.success : ExitCode.damage
    }

    // MARK: stats

    func stats(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        var entries = 0
        var expiring = 0
        var valueBytes: Int64 = 0
        var records = 0
        // By bytes, because two keyspaces may be equal as texts.
        var counts: [[UInt8]: Int] = [:]
        for mutation in inspection.content {
            switch mutation {
            case .put(let key, let entry):
                entries += 1
                if entry.expiresAt != nil { expiring += 1 }
                valueBytes += Int64(key.byteCount + entry.value.count)
                counts[Array(key.parts[0].utf8), default: 0] += 1
            case .putRecord(let record):
                records += 1
                valueBytes += Int64(record.id.utf8.count + record.payload.count)
            case .remove, .removeRecord: break
            }
        }
        let fileBytes = inspection.files.reduce(Int64(0)) { $0.saturatingAdd($1.size) }
        let clock = inspection.position.clock / 1_000_000
        let keyspaces = counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { (name: String(decoding: $0.key, as: UTF8.self), count: $0.value) }
        if options.isJSON {
            print(
                .object([
                    ("entries", .count(entries)), ("expiring", .count(expiring)), ("records", .count(records)),
                    ("contentBytes", .number(valueBytes)), ("fileBytes", .number(fileBytes)),
                    ("files", .count(inspection.files.count)), ("clockMilliseconds", .number(clock)),
                    ("nextVersion", .number(Int64(inspection.position.nextVersion))),
                    ("keyspaces", .object(keyspaces.map { ($0.name, .count($0.count)) })),
                    ("isDamaged", .bool(inspection.problem != nil)),
                ])
            )
        } else {
            print("\(counted(entries, "entry", "entries")), of which \(expiring) expire")
            for keyspace in keyspaces { print("  \(keyspace.name): \(keyspace.count)") }
            print(counted(records, "record"))
            print("\(byteText(valueBytes)) of keys, values and payloads")
            print("\(byteText(fileBytes)) in \(counted(inspection.files.count, "file"))")
            print("the store's clock: \(timeText(clock))")
            print("next version: \(inspection.position.nextVersion)")
        }
        return finish(inspection)
    }

    // MARK: list and show

    func list(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        var shown = 0
        for case .put(let key, let entry) in inspection.content {
            if let keyspace = options.keyspace, !key.parts[0].utf8.elementsEqual(keyspace.utf8) { continue }
            if shown == options.limit { break }
            shown += 1
            print(key, entry, options)
        }
        return finish(inspection)
    }

    func show(_ inspection: StoreInspection, _ options: Options) throws -> Int32 {
        for case .put(let key, let entry) in inspection.content
        where key.parts.elementsEqual(options.arguments, by: { $0.utf8.elementsEqual($1.utf8) }) {
            print(key, entry, options)
            return finish(inspection)
        }
        console.error("store-inspector: the store has no such entry\n")
        _ = finish(inspection)
        return inspection.problem == nil ? ExitCode.failure : ExitCode.damage
    }

    private func print(_ key: StoreKey, _ entry: StoredEntry, _ options: Options) {
        if options.isJSON {
            var fields: [(String, JSON)] = [
                ("key", .array(key.parts.map { .string($0) })), ("version", .number(Int64(entry.version))),
                ("expiresAtMilliseconds", entry.expiresAt.map { .number($0) } ?? .null),
                ("bytes", .count(entry.value.count)),
            ]
            if options.showsValues { fields.append(("value", .string(plainText(entry.value)))) }
            print(.object(fields))
        } else {
            let expiry = entry.expiresAt.map { ", expires \(timeText($0))" } ?? ""
            let value = options.showsValues ? ": \(plainText(entry.value))" : ""
            print("\(key.line)  version \(entry.version), \(counted(entry.value.count, "byte"))\(expiry)\(value)")
        }
    }

    // MARK: queues and dead letters

    func queues(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        struct Counts {
            var pending = 0
            var claimed = 0
            var dead = 0
            var next: Int64?
        }
        var queues: [QueueName: Counts] = [:]
        for case .putRecord(let record) in inspection.content {
            let queue = QueueName(record.queue)
            var counts = queues[queue, default: Counts()]
            if record.deadLetterReason != nil {
                counts.dead += 1
            } else {
                counts.pending += 1
                if record.isLeased { counts.claimed += 1 }
                counts.next = min(counts.next ?? .max, record.dueAt)
            }
            queues[queue] = counts
        }
        for (queue, counts) in queues.sorted(by: { $0.key.description < $1.key.description }) {
            let name = queue.description
            if options.isJSON {
                print(
                    .object([
                        ("queue", .string(name)), ("pending", .count(counts.pending)),
                        ("claimed", .count(counts.claimed)), ("deadLetters", .count(counts.dead)),
                        ("nextDueMilliseconds", counts.next.map { .number($0) } ?? .null),
                    ])
                )
            } else {
                let next = counts.next.map { ", next due \(timeText($0))" } ?? ""
                print(
                    "\(plainText(Array(name.utf8)))  \(counts.pending) pending (\(counts.claimed) claimed), "
                        + "\(counted(counts.dead, "dead letter"))\(next)"
                )
            }
        }
        return finish(inspection)
    }

    func deadLetters(_ inspection: StoreInspection, _ options: Options) -> Int32 {
        for record in inspection.deadLetters(of: options.arguments[0]).prefix(options.limit) {
            if options.isJSON {
                var fields: [(String, JSON)] = [
                    ("id", .string(record.id)), ("attempts", .count(record.attempts)),
                    ("sinceMilliseconds", .number(record.dueAt)),
                    ("reason", .string(record.deadLetterReason ?? "")), ("bytes", .count(record.payload.count)),
                ]
                if options.showsValues { fields.append(("payload", .string(plainText(record.payload)))) }
                print(.object(fields))
            } else {
                let payload = options.showsValues ? ": \(plainText(record.payload))" : ""
                let reason = plainText(Array((record.deadLetterReason ?? "").utf8))
                print(
                    "\(plainText(Array(record.id.utf8)))  since \(timeText(record.dueAt)), "
                        + "\(counted(record.attempts, "attempt")), \(counted(record.payload.count, "byte")), "
                        + "\(reason)\(payload)"
                )
            }
        }
        return finish(inspection)
    }
}

extension StoreInspection {
    /// The dead letters of a queue in the order of their ids.
    func deadLetters(of queue: String) -> [StoredRecord] {
        content.compactMap { mutation in
            guard case .putRecord(let record) = mutation, record.deadLetterReason != nil,
                record.queue.utf8.elementsEqual(queue.utf8)
            else { return nil }
            return record
        }
    }
}
