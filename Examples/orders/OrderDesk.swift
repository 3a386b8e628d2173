import Reliability
import Synchronization

/// Why the desk rejects an order, where no part of the library already says so.
enum DeskError: String, ReliabilityError {
    case inProgress = "in_progress"
    case orderIDTaken = "order_id_taken"
    case keyReused = "idempotency_key_reused"

    var code: ErrorCode { ErrorCode(rawValue: rawValue) }
    var category: ErrorCategory { self == .keyReused ? .unprocessable : .conflict }
    var message: String {
        switch self {
        case .inProgress: "This order is being processed."
        case .orderIDTaken: "Another order has this order_id."
        case .keyReused: "The idempotency_key was used for another order."
        }
    }
}

/// Takes orders: each is charged once, and shipped once, whatever breaks in between.
///
/// validation → dedup → rate limit → order stored as pending → charge → order accepted and message sent, in one commit.
///
/// Several desks can share a store: each settles whatever is pending, and the versions of the orders decide who did.
final class OrderDesk: Sendable {
    /// What became of an order that was not rejected.
    enum Outcome: String {
        case executed, replayed, pending
    }

    struct Answer {
        var status: Int
        var outcome: String
        var orderID: String?
        var error: ErrorResponse?
    }

    static let durability = StoreCapabilities.Durability.powerLoss
    static let claims: Keyspace = "dedup"
    static let rates: Keyspace = "rate"

    let statistics = Statistics()
    private let store: any RecordStore
    private let shipping: OutboxQueue
    private let gateway: Service
    private let dedup: Deduplicator
    private let limiter: Limiter
    /// For a charge, with its attempts; and for a question to the gateway.
    private let charging: any CallPolicy
    private let asking: any CallPolicy
    private let unsettled = Mutex<[String: Unsettled]>([:])

    /// An order that may have been charged.
    private struct Unsettled {
        let order: Order
        var lastAttempt: ContinuousClock.Instant
    }

    /// Opens a desk that stores orders beside their messages.
    init(shipping: OutboxQueue, gateway: Service, ordersPerMinute: Int) {
        let store = shipping.store
        self.store = store
        self.shipping = shipping
        self.gateway = gateway
        var replay = Deduplicator.Configuration.replay(retention: nil)
        // When another desk has been killed, its customers wait so long before they can ask again.
        replay.lease = .seconds(10)
        dedup = Deduplicator(replay, keyspace: Self.claims, store: store, storeFailure: .failClosed())
        limiter = Limiter(
            .fixedWindow(ordersPerMinute, per: .seconds(60)),
            keyspace: Self.rates,
            store: store,
            storeFailure: .failClosed()
        )
        let statistics = statistics
        let breaker = Breaker(
            Breaker.Configuration(
                tripCondition: .failureRate(0.5, minCalls: 20, within: .seconds(10)),
                openDuration: .seconds(1),
                probes: 3
            ),
            observer: { if case .opened = $0 { statistics.count(.breakerTrips) } }
        )
        let attemptTimeout = TimeoutPolicy(.milliseconds(400), observer: { _ in statistics.count(.timeouts) })
        charging = Pipeline {
            TimeoutPolicy(.seconds(4))
            RetryPolicy(
                RetryPolicy.Configuration(
                    .idempotent,  // the gateway charges once for each key
                    maxAttempts: 4,
                    backoff: .exponential(initial: .milliseconds(20), max: .milliseconds(200))
                ),
                observer: { if case .retrying = $0 { statistics.count(.retries) } }
            )
            breaker
            attemptTimeout
        }
        asking = Pipeline {
            breaker
            attemptTimeout
        }
    }

    // MARK: Taking orders

    /// Answers one line of input.
    func answer(_ line: [UInt8]) async -> Answer {
        let started = ContinuousClock.now
        let answer = await withCorrelationID(.random()) {
            do {
                let order = try Order.parser.parse(line, as: Order.init)
                do { return try await take(order) } catch { return rejection(error, orderID: order.id) }
            } catch { return rejection(error, orderID: Order.id(of: line)) }
        }
        statistics.record(answer, after: ContinuousClock.now - started)
        return answer
    }

    private func rejection(_ error: any Error, orderID: String?) -> Answer {
        let response = ErrorResponse(error)
        return Answer(status: response.status, outcome: "rejected", orderID: orderID, error: response)
    }

    private func take(_ order: Order) async throws -> Answer {
        let outcome: Outcome
        do {
            let result = try await dedup.run(
                "order",
                [order.email, order.idempotencyKey],
                fingerprint: order.canonical,
                isFinal: { $0 != Outcome.pending.rawValue },
                operation: { _ in try await place(order).rawValue }
            )
            outcome = result.isReplay ? .replayed : Outcome(rawValue: result.value) ?? .executed
        } catch let error as DedupError {
            let rejection: DeskError
            switch error.reason {
            case .inProgress: rejection = .inProgress
            case .mismatch: rejection = .keyReused
            default: throw error
            }
            // Another line has claimed the key. If only to ask, like this one, the record says whose it is.
            switch try await stored(order) {
            case .replayed?: outcome = .replayed
            case .pending? where rejection == .keyReused || isUnsettled(order): outcome = .pending
            default: throw rejection
            }
        }
        return Answer(status: outcome == .pending ? 202 : 201, outcome: outcome.rawValue, orderID: order.id)
    }

    /// Places an order whose key nobody else works on.
    private func place(_ order: Order) async throws -> Outcome {
        if let outcome = try await stored(order) { return outcome }
        try await limiter.consume([order.email])
        guard let version = try await storePending(order) else {
            // Another order with this order_id came in between, and may be gone again.
            guard let outcome = try await stored(order) else { throw DeskError.inProgress }
            return outcome
        }
        var attempts = 0
        do {
            let amount = try await charging.run {
                attempts += 1
                return try await charge(order)
            }
            try await accept(order, version, charged: amount)
            return .executed
        } catch {
            // Without an attempt there was no charge, and the order is turned away as if it had never come. After one,
            // the record of it decides: the order stays pending, whatever the last error says.
            if attempts == 0, (try? await removePending(order, version)) == true { throw error }
            unsettled.withLock {
                $0[order.id] = Unsettled(order: order, lastAttempt: .now)
            }
            return .pending
        }
    }

    /// What the store says about an order that came before; nil when it is new.
    private func stored(_ order: Order) async throws -> Outcome? {
        let found = try await store.get([Self.key(of: order), Self.record(of: order.id)])
        guard found[0] != nil else {
            if found[1] != nil { throw DeskError.orderIDTaken }
            return nil
        }
        // The key may have been used with another order_id, too.
        guard let record = found[1]?.value, record.dropFirst().elementsEqual(order.canonical) else {
            throw DeskError.keyReused
        }
        return record.first == Self.accepted ? .replayed : .pending
    }

    private func charge(_ order: Order) async throws -> Int64 {
        let amount = order.amountCents
        let fields = #""order_id":"\#(order.id)","key":\#(json(order.gatewayKey)),"amount_cents":\#(amount)"#
        return try await gateway.act(key: order.gatewayKey, amount: amount, fields: fields)
    }

    // MARK: The store

    private static let pending = UInt8(ascii: "P")
    private static let accepted = UInt8(ascii: "A")
    private static let pendingIndex: Keyspace = "pending"

    private static func record(of id: String) -> StoreKey { StoreKey("order", id) }
    private static func key(of order: Order) -> StoreKey { StoreKey("key", order.email, order.idempotencyKey) }

    /// Stores an order before its first charge; nil when there is one with its id or key.
    private func storePending(_ order: Order) async throws -> StoreVersion? {
        let result = try await store.commit([
            .put(Self.record(of: order.id), [Self.pending] + order.canonical, .never, if: .absent),
            .put(Self.key(of: order), Array(order.id.utf8), .never, if: .absent),
            .put(StoreKey(Self.pendingIndex, order.id), Array(order.id.utf8), .never, if: .any),
        ])
        guard case .committed(let versions) = result, let version = versions.first else { return nil }
        return version
    }

    private func removePending(_ order: Order, _ version: StoreVersion) async throws -> Bool {
        let result = try await store.commit([
            .delete(Self.record(of: order.id), if: .version(version)),
            .delete(Self.key(of: order), if: .any),
            .delete(StoreKey(Self.pendingIndex, order.id), if: .any),
        ])
        if case .committed = result { return true }
        return false
    }

    /// The version of an order that is pending; nil when it was accepted or turned away.
    private func pendingVersion(of order: Order) async throws -> StoreVersion? {
        guard let record = try await store.get(Self.record(of: order.id)), record.value.first == Self.pending,
            record.value.dropFirst().elementsEqual(order.canonical)
        else { return nil }
        return record.version
    }

    /// Takes a pending order over before it is charged again, so that whoever placed it cannot turn it away any more.
    private func takeOver(_ order: Order, _ version: StoreVersion) async throws -> StoreVersion {
        let put = StoreWrite.put(
            Self.record(of: order.id),
            [Self.pending] + order.canonical,
            .never,
            if: .version(version)
        )
        guard case .committed(let versions) = try await store.commit([put]), case let version?? = versions.first
        else { throw DeskError.inProgress }
        return version
    }

    /// Accepts an order that was charged, and sends its message, in one step.
    private func accept(_ order: Order, _ version: StoreVersion, charged amount: Int64?) async throws {
        // Not ours to repair: the order stays pending, and the run ends saying so.
        guard amount == order.amountCents else { throw ServiceFailure() }
        let message = OutboxMessage(
            id: "order.placed:\(order.id)",
            topic: "order.placed",
            payload: Array(order.id.utf8)
        )
        do {
            try await shipping.commit(
                [
                    .put(Self.record(of: order.id), [Self.accepted] + order.canonical, .never, if: .version(version)),
                    .delete(StoreKey(Self.pendingIndex, order.id), if: .any),
                ],
                sending: [message]
            )
        } catch let conflict as OutboxConflict {
            // Perhaps the order was accepted before, and its message sent with it. Otherwise another desk settles it.
            guard case .write(index: 0, let current?) = conflict.reason, current.value.first == Self.accepted,
                current.value.dropFirst().elementsEqual(order.canonical)
            else { throw conflict }
        }
    }

    // MARK: Settling what is open

    /// How many orders may have been charged and are not settled.
    var unsettledCount: Int { unsettled.withLock { $0.count } }

    private func isUnsettled(_ order: Order) -> Bool { unsettled.withLock { $0[order.id] != nil } }

    /// Finds the orders that are pending in the store, whether an earlier run left them so or another desk did.
    ///
    /// - Returns: How many there are.
    @discardableResult
    func loadPending() async throws -> Int {
        var count = 0
        var after: StoreKey?
        repeat {
            let page = try await store.scan(StoreKey(Self.pendingIndex), after: after, limit: 100)
            count += page.entries.count
            let ids = page.entries.map { String(decoding: $0.entry.value, as: UTF8.self) }
            let unknown = unsettled.withLock { unsettled in ids.filter { unsettled[$0] == nil } }
            for case let record? in try await store.get(unknown.map(Self.record)) {
                let order = try Order.parser.parse(record.value.dropFirst(), as: Order.init)
                unsettled.withLock { $0[order.id] = $0[order.id] ?? Unsettled(order: order, lastAttempt: .now) }
            }
            after = page.next
        } while after != nil
        return count
    }

    /// What is not at its end, in the whole store.
    func openWork() async throws -> (orders: Int, messages: RecordCounts) {
        (try await loadPending(), try await shipping.counts())
    }

    /// Asks the gateway about every open order until the task is cancelled.
    func settle() async {
        var wait = Duration.milliseconds(100)
        var lastLook = ContinuousClock.now
        while !Task.isCancelled {
            if lastLook.duration(to: .now) > .seconds(1) {
                lastLook = .now
                // While the store is down, what is known has to do.
                _ = try? await loadPending()
            }
            let open = unsettled.withLock { Array($0.values) }
            await withTaskGroup(of: Void.self) { group in
                for (index, entry) in open.enumerated() {
                    if index >= 8 { await group.next() }
                    group.addTask { await self.settle(entry) }
                }
            }
            // While nothing can be settled, the gateway is asked less and less often.
            wait = unsettledCount < open.count || open.isEmpty ? .milliseconds(100) : min(wait * 2, .seconds(2))
            try? await Task.sleep(for: wait)
        }
    }

    private func settle(_ entry: Unsettled) async {
        let order = entry.order
        do {
            guard var version = try await pendingVersion(of: order) else {
                unsettled.withLock { $0[order.id] = nil }
                return
            }
            var amount = try await asking.run { try await gateway.find(key: order.gatewayKey) }
            if amount == nil {
                // A call that is still on its way proves nothing by not being there yet.
                guard entry.lastAttempt.duration(to: .now) > Service.slowest else { return }
                // It did not happen: charge again, with the same key.
                defer { unsettled.withLock { $0[order.id]?.lastAttempt = .now } }
                version = try await takeOver(order, version)
                amount = try await charging.run { try await charge(order) }
            }
            try await accept(order, version, charged: amount)
            unsettled.withLock { $0[order.id] = nil }
        } catch {
            // It stays open and is asked about again.
        }
    }
}
