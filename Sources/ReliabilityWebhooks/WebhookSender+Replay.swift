internal import Outbox
internal import ReliabilityCore
public import ReliabilityStore

extension WebhookSender {
    private static let pageSize = 100

    /// Enables a disabled endpoint.
    ///
    /// Messages that became dead letters stay dead letters. ``replay(since:to:)`` from the returned time delivers them.
    ///
    /// - Parameter endpointID: The identity of the endpoint.
    /// - Returns: The time in Unix seconds at which the endpoint was disabled, or `nil` if the endpoint was enabled.
    /// - Throws: `StoreError`.
    @discardableResult
    public func enable(_ endpointID: String) async throws(StoreError) -> Int64? {
        let key = MarkedEndpoint.key(endpointID, in: outbox.name)
        let entry = try await store.read { store throws(StoreError) in try await store.get(key) }
        _ = try await outbox.tryCommit([.delete(key, if: .any)], sending: [])
        dispatcher.states.reset(endpointID)
        guard let entry, case .disabled(let time, _)? = EndpointMark(entry.value) else { return nil }
        return time
    }

    /// Delivers a message to an endpoint again, with the same identity and the same bytes.
    ///
    /// The message is a dead letter, or a delivered message within ``Configuration/replayRetention``.
    ///
    /// - Parameters:
    ///   - messageID: The identity of the message.
    ///   - endpointID: The identity of the endpoint.
    /// - Returns: `false` if there is no such message.
    /// - Throws: `StoreError`.
    @discardableResult
    public func replay(_ messageID: String, to endpointID: String) async throws(StoreError) -> Bool {
        guard WebhookSigner.isIdentity(messageID) else { return false }
        let recordID = WebhookMessage.recordID(messageID, endpointID)
        let key = KeptMessage.key(recordID, of: endpointID, in: outbox.name)
        let entry = try await store.read { store throws(StoreError) in try await store.get(key) }
        if let entry, let kept = KeptMessage(entry.value) {
            if try await send([kept.message]) == 1 { return true }
        }
        return try await redrive { $0.id == recordID } > 0
    }

    /// Delivers the messages of an endpoint since a time again, with the same identities and the same bytes.
    ///
    /// The messages are the dead letters since the time, and the messages that were delivered since the time and within
    /// ``Configuration/replayRetention``. The limits of the endpoint apply to the repeated deliveries.
    ///
    /// - Parameters:
    ///   - unixSeconds: The time in Unix seconds.
    ///   - endpointID: The identity of the endpoint.
    /// - Returns: The number of messages.
    /// - Throws: `StoreError`. Messages may have been replayed before the error.
    @discardableResult
    public func replay(since unixSeconds: Int64, to endpointID: String) async throws(StoreError) -> Int {
        var count = 0
        var after: StoreKey?
        let prefix = KeptMessage.prefix(of: endpointID, in: outbox.name)
        repeat {
            let start = after
            let page = try await store.read { store throws(StoreError) in
                try await store.scan(prefix, after: start, limit: Self.pageSize)
            }
            let kept = page.entries.compactMap { KeptMessage($0.entry.value) }
            for each in kept where each.time >= unixSeconds { count += try await send([each.message]) }
            after = page.next
        } while after != nil
        // Both times are whole seconds, so the age is up to a second more than their difference.
        let now = dispatcher.caller.unixSeconds()
        let age = Duration.seconds(now.saturatingSubtract(unixSeconds).saturatingAdd(1))
        return try await count
            + redrive { record in
                guard .zero - record.due <= age, let message = OutboxMessage(record) else { return false }
                return WebhookMessage.read(message)?.endpointID == endpointID
            }
    }

    private var outbox: OutboxQueue { dispatcher.outbox }
    private var store: GuardedStore<any RecordStore> { dispatcher.store }

    /// Sends messages again.
    ///
    /// - Returns: The number of messages, or zero if a message is a dead letter.
    private func send(_ messages: [OutboxMessage]) async throws(StoreError) -> Int {
        guard case .committed = try await outbox.tryCommit([], sending: messages) else { return 0 }
        return messages.count
    }

    /// Redrives the dead letters that fulfil a condition.
    ///
    /// - Returns: The number of dead letters.
    private func redrive(_ isIncluded: (RecordInfo) -> Bool) async throws(StoreError) -> Int {
        defer { outbox.wakeRelays() }
        let queue = outbox.name
        var count = 0
        var after: String?
        repeat {
            let start = after
            let page = try await store.read { store throws(StoreError) in
                try await store.page(queue, .deadLetter, after: start, limit: Self.pageSize)
            }
            for record in page.records.filter(isIncluded) {
                let settlement = Settlement(queue: queue, id: record.id, token: record.version, .redrive)
                let results = try await store.write { store throws(StoreError) in try await store.settle([settlement]) }
                count += results.count { $0 == .settled }
            }
            after = page.next
        } while after != nil
        return count
    }
}
