import ReliabilityCore
import ReliabilityStore

extension ReferenceServer {
    private func sameQueue(_ record: Record, _ queue: QueueName) -> Bool {
        if mutant == .queuesByUnicode { return record.queue == queue.description }
        return record.queue.utf8.elementsEqual(queue.description.utf8)
    }

    private func position(_ queue: QueueName, _ id: String) -> Int? {
        func name(_ id: String) -> Substring.UTF8View {
            var name = id[...]
            if mutant == .namesAreTrimmed { while name.last == " " { name.removeLast() } }
            return name.utf8
        }
        if mutant == .namesAreJoined {
            return state.records.firstIndex { "\($0.queue):\($0.id)".utf8.elementsEqual("\(queue):\(id)".utf8) }
        }
        return state.records.firstIndex { sameQueue($0, queue) && name($0.id).elementsEqual(name(id)) }
    }

    func add(_ new: NewRecord, _ client: Client) -> EnqueueResult {
        let record = Record(
            queue: new.queue.description,
            id: new.id,
            payload: mutant == .payloadsAreTexts
                ? Array(String(decoding: new.payload, as: UTF8.self).utf8) : new.payload,
            version: nextVersion(client),
            due: mutant == .delaysOverflow
                ? now + .nanoseconds(Int64(truncatingIfNeeded: new.delay.attoseconds / 1_000_000_000))
                : due(after: new.delay, client)
        )
        if mutant == .doneIsRemembered, done.contains([record.queue, record.id]) { return .duplicate }
        if let position = position(new.queue, new.id) {
            let result = result(new, state.records[position])
            if mutant == .enqueueReplaces { state.records[position] = record }
            return result
        }
        state.records.append(record)
        return .enqueued
    }

    private func result(_ new: NewRecord, _ there: Record) -> EnqueueResult {
        if mutant == .idsAreEnough { return .duplicate }
        if there.deadLetterReason != nil, mutant != .deadLetterIsPending { return .taken(by: .deadLetter) }
        return there.payload == new.payload ? .duplicate : .taken(by: .pending)
    }

    /// The first record whose identity belongs to another record.
    func firstTaken(_ new: [NewRecord]) -> (index: Int, state: RecordState)? {
        if mutant == .takenIsLeftOut { return nil }
        var added: [NewRecord] = []
        for (index, record) in new.enumerated() {
            if let position = position(record.queue, record.id) {
                if case .taken(let state) = result(record, state.records[position]) { return (index, state) }
            } else if let first = added.first(where: { $0.id == record.id && $0.queue == record.queue }) {
                if first.payload != record.payload { return (index, .pending) }
            }
            added.append(record)
        }
        return nil
    }

    func enqueue(_ new: [NewRecord], _ client: Client) async throws(StoreError) -> [EnqueueResult] {
        try checkCancellation()
        try checkRecords(new)
        if mutant != .noLimits, new.count > capabilities.maxWrites { throw StoreError(.invalid, "") }
        try checkCapacity(new.count)
        if mutant == .enqueuesThenWaits {
            let wereThere = new.map { position($0.queue, $0.id) != nil }
            await Task.yield()
            // A record that was added in between is overwritten.
            for (record, wasThere) in zip(new, wereThere) where !wasThere {
                if let other = position(record.queue, record.id) { state.records.remove(at: other) }
            }
            return new.map { add($0, client) }
        }
        return new.map { add($0, client) }
    }

    func claim(
        _ queue: QueueName,
        _ limit: Int,
        _ lease: Duration,
        _ client: Client
    ) async throws(StoreError) -> [RecordClaim] {
        try checkCancellation()
        try checkQueue(queue)
        if limit < 1 || lease <= .zero { throw StoreError(.invalid, "") }
        if isFull, mutant == .fullStoreRejectsRemovals { throw StoreError(.capacityExceeded, "") }
        await lock(client)
        defer { unlock(client) }
        var due = state.records.filter { sameQueue($0, queue) && $0.deadLetterReason == nil }
        if mutant == .claimsAmongTheFirst { due = Array(due.prefix(100)) }
        due.removeAll { $0.due > now }
        if mutant != .claimsInAnyOrder { due.sort { ($0.due, $0.version) < ($1.due, $1.version) } }
        if mutant == .claimsThenWaits || mutant == .locksPerClient { await Task.yield() }
        var claims: [RecordClaim] = []
        for record in due.prefix(limit) {
            guard let position = position(queue, record.id) else { continue }
            if mutant != .claimKeepsToken { state.records[position].version = nextVersion(client) }
            if mutant != .attemptsOfRetries { state.records[position].attempts += 1 }
            let wasAbandoned = mutant == .failedIsAbandoned ? record.attempts > 0 : record.isLeased
            state.records[position].isLeased = true
            if mutant != .noLease {
                state.records[position].due = self.due(after: lease, least: .zero, client)
            }
            claims.append(
                RecordClaim(
                    queue: queue,
                    id: record.id,
                    payload: record.payload,
                    attempt: max(1, state.records[position].attempts),
                    token: StoreVersion(rawValue: state.records[position].version),
                    wasAbandoned: mutant != .abandonedIsFailed && wasAbandoned
                )
            )
        }
        return claims
    }

    func settle(_ settlements: [Settlement], _ client: Client) async throws(StoreError) -> [SettleResult] {
        try checkCancellation()
        if mutant != .noLimits, settlements.count > capabilities.maxWrites { throw StoreError(.invalid, "") }
        var names: Set<[[UInt8]]> = []
        for settlement in settlements {
            let name = [Array(settlement.queue.description.utf8), Array(settlement.id.utf8)]
            let isNew = names.insert(name).inserted
            if !isNew || settlement.action == .extend(.zero) { throw StoreError(.invalid, "") }
        }
        var results: [SettleResult] = []
        for settlement in settlements {
            let isSettled = await settle(settlement, client)
            if mutant == .staleStopsTheRest, !isSettled { return settlements.map { _ in .stale } }
            results.append(isSettled ? .settled : .stale)
        }
        return results
    }

    private func settle(_ settlement: Settlement, _ client: Client) async -> Bool {
        guard let found = position(settlement.queue, settlement.id) else { return mutant == .doneTwice }
        let isToken = state.records[found].version == settlement.token.rawValue
        guard isToken || mutant == .settlesByID else { return false }
        if mutant == .settlesThenWaits { await Task.yield() }
        guard let position = position(settlement.queue, settlement.id) else { return false }
        var record = state.records[position]
        let isDead = record.deadLetterReason != nil
        switch settlement.action {
        case .done:
            done.insert([record.queue, record.id])
            state.records.remove(at: position)
            return true
        case .retry(let wait, let countsAttempt):
            if isDead { return false }
            if !countsAttempt { record.attempts = max(0, record.attempts - 1) }
            if mutant == .attemptsOfRetries, countsAttempt { record.attempts += 1 }
            record.due = due(after: wait, client)
            record.isLeased = false
            if mutant == .retryingIsDeadLetter { record.deadLetterReason = "waiting" }
            if mutant == .retryKeepsToken {
                state.records[position] = record
                return true
            }
            if mutant == .retriesInSteps {
                record.version = nextVersion(client)
                state.records.remove(at: position)
                await Task.yield()
                state.records.append(record)
                return true
            }
        case .holdBack(let wait):
            if isDead { return false }
            if mutant != .holdingBackCounts { record.attempts = max(0, record.attempts - 1) }
            record.due = due(after: wait, client)
            record.isLeased = mutant != .heldBackIsSettled
        case .extend(let lease):
            if isDead { return false }
            record.due = mutant == .extendsTheLease ? record.due + lease : due(after: lease, least: .zero, client)
            state.records[position] = record
            return true
        case .deadLetter(let reason):
            if isDead { return false }
            var kept = ""
            for scalar in reason.unicodeScalars.prefix(1024) {
                if kept.utf8.count + String(scalar).utf8.count > 1024 { break }
                kept.unicodeScalars.append(scalar)
            }
            record.deadLetterReason = mutant == .reasonsAreLost ? "" : kept
            if mutant != .deadLetterSinceTheLease { record.due = now }
            record.isLeased = false
        case .redrive:
            if !isDead { return false }
            record.deadLetterReason = nil
            if mutant != .redriveKeepsAttempts { record.attempts = 0 }
            record.due = now
        }
        record.version = nextVersion(client)
        state.records[position] = record
        return true
    }

    func nextDue(_ queue: QueueName) throws(StoreError) -> Duration? {
        try checkQueue(queue)
        let waiting = state.records.filter { record in
            sameQueue(record, queue) && record.deadLetterReason == nil
                && !(mutant == .leasesAreNotDue && record.isLeased)
        }
        return waiting.map(\.due).min().map { mutant == .dueIsNeverNegative ? max(.zero, $0 - now) : $0 - now }
    }

    func counts(_ queue: QueueName) throws(StoreError) -> RecordCounts {
        try checkQueue(queue)
        let all = state.records.filter { sameQueue($0, queue) }
        let dead = all.count { $0.deadLetterReason != nil }
        return RecordCounts(pending: all.count - dead, deadLetters: dead)
    }

    func page(
        _ queue: QueueName,
        _ which: RecordState,
        _ after: String?,
        _ limit: Int
    ) throws(StoreError) -> RecordPage {
        try checkQueue(queue)
        if limit < 1 { throw StoreError(.invalid, "") }
        func precedes(_ left: String, _ right: String) -> Bool {
            mutant == .pagesByText ? left < right : left.utf8.lexicographicallyPrecedes(right.utf8)
        }
        var found = state.records.filter {
            sameQueue($0, queue) && ($0.deadLetterReason != nil) == (which == .deadLetter)
        }
        found.sort { precedes($0.id, $1.id) }
        if mutant == .pagesByOffset || mutant == .deadLetterPagesByOffset && which == .deadLetter {
            found.removeFirst(min(found.count, after.flatMap { recordOffsets[$0] } ?? 0))
        } else if let after {
            found = found.filter { precedes(after, $0.id) }
        }
        let count = fetched(found.count, limit)
        let infos = found.prefix(min(limit, count)).map { record in
            RecordInfo(
                id: record.id,
                payload: record.payload,
                version: StoreVersion(rawValue: record.version),
                attempts: record.attempts,
                isLeased: record.isLeased && record.due > now,
                due: record.due - now,
                deadLetterReason: record.deadLetterReason
            )
        }
        let next = count > limit ? infos.last?.id : nil
        if let next { recordOffsets[next] = (after.flatMap { recordOffsets[$0] } ?? 0) + infos.count }
        return RecordPage(records: infos, next: next)
    }

    // MARK: Limits

    func checkRecords(_ records: [NewRecord]) throws(StoreError) {
        if mutant == .noLimits { return }
        for record in records {
            try checkQueue(record.queue)
            if record.id.utf8.isEmpty || record.id.utf8.count > 256 { throw StoreError(.invalid, "") }
            try checkValue(record.payload)
        }
    }

    private func checkQueue(_ queue: QueueName) throws(StoreError) {
        let isNamed = (1...64).contains(queue.description.utf8.count)
        if !isNamed, mutant != .noLimits { throw StoreError(.invalid, "") }
    }
}
