internal import ReliabilityCore
internal import ReliabilityStore

extension OutboxRelay {
    /// Removes dead letters after their retention until the relay stops.
    func removeDeadLetters(after retention: Duration) async {
        let interval = max(.seconds(60), min(retention / 8, .seconds(3600)))
        var next = timeSource.now
        while !Task.isCancelled {
            let count = signal.count
            if state.withLock({ $0.isDraining }) { return }
            if timeSource.now >= next {
                // While the store is down, dead letters stay until a later round.
                try? await removeDeadLettersOnce(after: retention)
                next = timeSource.instant(after: interval)
            }
            await signal.wait(after: count, until: next, timeSource: timeSource)
        }
    }

    private func removeDeadLettersOnce(after retention: Duration) async throws(StoreError) {
        let (name, limit) = (queue.name, queue.maxBatch)
        var after: String?
        repeat {
            let start = after
            let page = try await store.read { store throws(StoreError) in
                try await store.page(name, .deadLetter, after: start, limit: limit)
            }
            let removed = try await queue.settle(page.records, .done, olderThan: retention) {
                settlements throws(StoreError) in
                try await store.write { store throws(StoreError) in try await store.settle(settlements) }
            }
            for record in removed { events.emit(.removed(id: record.id, reason: record.deadLetterReason ?? "")) }
            after = page.next
        } while after != nil && !Task.isCancelled
    }
}
