internal import ReliabilityStore

extension TraceRun {
    private func hours(_ duration: Duration?) -> String {
        guard let duration else { return "-" }
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
        return "\((seconds / 3600).rounded())h"
    }

    private mutating func text(_ entry: StoreEntry?) -> String {
        guard let entry else { return "-" }
        // The value of an update contains a time.
        let isState = entry.value.count == 17
        return "\(isState ? "state" : "\(entry.value)") \(names.name(entry.version)) \(hours(entry.remaining))"
    }

    private func text(_ decision: AtomicUpdate.Decision) -> String {
        let isAllowed = decision.isAllowed ? "allowed" : "denied"
        return "\(isAllowed) \(decision.remaining) \(hours(decision.retryAfter)) \(hours(decision.resetAfter))"
    }

    private func failure(_ error: StoreError) -> String { "error \(error.code)" }

    mutating func get(_ store: some RecordStore) async -> String {
        let keys = (0..<1 + pick(4)).map { _ in key() }
        do throws(StoreError) {
            let entries: [StoreEntry?] = try await store.get(keys)
            return "get \(entries.map { text($0) })"
        } catch { return failure(error) }
    }

    mutating func commit(_ store: some RecordStore, records: [NewRecord]) async -> String {
        let writes = keys(records.isEmpty ? 1 + pick(3) : pick(3)).map { write($0) }
        do throws(StoreError) {
            if writes.count == 1, records.isEmpty, pick(2) == 0 {
                switch try await store.commit(writes[0]) as WriteResult {
                case .committed(let version): return "committed \(names.name(version))"
                case .conflict(let current): return "conflict \(text(current))"
                }
            }
            switch try await store.commit(writes, enqueueing: records) {
            case .committed(let versions, let added):
                return "committed \(versions.map { names.name($0) }) \(added)"
            case .conflict(let index, let current): return "conflict \(index) \(text(current))"
            case .taken(let index, let state): return "taken \(index) \(state)"
            }
        } catch { return failure(error) }
    }

    mutating func update(_ store: some RecordStore) async -> String {
        let updates = keys(1 + pick(3)).map { (key: $0, update: change()) }
        do throws(StoreError) {
            let result = try await store.update(updates)
            return "update \(result.isApplied) \(result.decisions.map { text($0) })"
        } catch { return failure(error) }
    }

    mutating func updateOne(_ store: some RecordStore) async -> String {
        do throws(StoreError) { return text(try await store.update(key(), change())) } catch { return failure(error) }
    }

    /// Reads all pages, because stores may end their pages at different entries.
    mutating func scan(_ store: some RecordStore) async -> String {
        let prefix = StoreKey(Keyspace(pick(2) == 0 ? "a" : "b"))
        var after = pick(2) == 0 ? nil : key()
        let limit = 1 + pick(8)
        var entries: [String] = []
        do throws(StoreError) {
            repeat {
                let page = try await store.scan(prefix, after: after, limit: limit)
                if page.entries.count > limit { return "a page of \(page.entries.count) entries" }
                entries += page.entries.map { "\($0.key.encoded) \(text($0.entry))" }
                after = page.next
            } while after != nil
            return "scan \(entries)"
        } catch { return failure(error) }
    }

    mutating func enqueue(_ store: some RecordStore) async -> String {
        do throws(StoreError) { return "enqueue \(try await store.enqueue(records()))" } catch { return failure(error) }
    }

    mutating func claim(_ store: some RecordStore) async -> String {
        do throws(StoreError) {
            let claims = try await store.claim(queue(), limit: 1 + pick(3), lease: .seconds(3600 * (1 + pick(5))))
            let texts = claims.map { claim in
                tokens.append((claim.queue, claim.id, claim.token))
                let name = names.name(claim.token)
                return "\(claim.id) \(claim.payload) \(claim.attempt) \(name) \(claim.wasAbandoned)"
            }
            return "claim \(texts)"
        } catch { return failure(error) }
    }

    mutating func settle(_ store: some RecordStore) async -> String {
        var settlements: [Settlement] = []
        for _ in 0..<1 + pick(3) where !tokens.isEmpty {
            let record = tokens[pick(tokens.count)]
            if settlements.contains(where: { $0.queue == record.queue && $0.id == record.id }) { continue }
            var settlement = settlement(record)
            // Records that are due at the same moment have no order.
            if case .retry(.zero, let counts) = settlement.action, !settlements.isEmpty {
                settlement.action = .retry(after: .seconds(3600), countsAttempt: counts)
            }
            if case .redrive = settlement.action, !settlements.isEmpty { settlement.action = .done }
            settlements.append(settlement)
        }
        do throws(StoreError) { return "settle \(try await store.settle(settlements))" } catch { return failure(error) }
    }

    mutating func page(_ store: some RecordStore) async -> String {
        let queue = queue()
        let state: RecordState = pick(2) == 0 ? .pending : .deadLetter
        var after = pick(2) == 0 ? nil : "r\(pick(12))"
        let limit = 1 + pick(6)
        var texts: [String] = []
        do throws(StoreError) {
            repeat {
                let page = try await store.page(queue, state, after: after, limit: limit)
                if page.records.count > limit { return "a page of \(page.records.count) records" }
                for record in page.records { texts.append(text(record, of: queue)) }
                after = page.next
            } while after != nil
            return "page \(texts)"
        } catch { return failure(error) }
    }

    private mutating func text(_ record: RecordInfo, of queue: QueueName) -> String {
        tokens.append((queue, record.id, record.version))
        let due = record.due <= .zero ? "due" : hours(record.due)
        let name = names.name(record.version)
        return "\(record.id) \(record.payload) \(name) \(record.attempts) \(record.isLeased) \(due) "
            + (record.deadLetterReason ?? "-")
    }

    mutating func state(_ store: some RecordStore) async -> String {
        let queue = queue()
        do throws(StoreError) {
            let due = try await store.nextDue(queue)
            let counts = try await store.counts(queue)
            return "due \(due.map { $0 <= .zero ? "now" : hours($0) } ?? "-") \(counts)"
        } catch { return failure(error) }
    }
}
