internal import ReliabilityCore
internal import ReliabilityStore

/// Receives the notifications of new records and calls the actions of their queues.
///
/// A notification is a hint. After each loss of its connection, the listener calls all actions, because notifications may
/// be lost.
final class EnqueueListener: Sendable {
    private struct State {
        var lastNumber: UInt64 = 0
        var actions: [(number: UInt64, payload: String, action: @Sendable () -> Void)] = []
        /// A Boolean value that indicates whether the listener receives notifications, or `nil` before the first attempt.
        var isListening: Bool?
        var failures = 0
    }

    /// The time after which a listener tries again that a client or a pooler does not support.
    private static let unsupportedPause = Duration.seconds(60)

    private let channel: String
    private let readiness: PostgresReadiness
    private let limits: ConnectionLimits
    private let events: EventSink<StoreConnectionEvent>
    private let state = Lock(State())
    private let task = Lock<Task<Void, Never>?>(nil)

    /// Creates a listener, which begins immediately.
    init(
        channel: String,
        _ readiness: PostgresReadiness,
        limits: ConnectionLimits,
        events: EventSink<StoreConnectionEvent>
    ) {
        self.channel = channel
        self.readiness = readiness
        self.limits = limits
        self.events = events
        let task = withoutCallContext { startTask { await self.run() } }
        self.task.withLock { $0 = task }
    }

    func close() { task.withLock { $0 }?.cancel() }

    /// Adds an action of a queue.
    ///
    /// - Returns: A function that removes the action.
    func add(_ queue: QueueName, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
        let payload = queue.description.utf8.map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }.joined()
        let number = state.withLock { state in
            state.lastNumber += 1
            state.actions.append((state.lastNumber, payload, action))
            return state.lastNumber
        }
        return { [weak self] in self?.state.withLock { $0.actions.removeAll { $0.number == number } } }
    }

    private func run() async {
        while !Task.isCancelled {
            var pause = limits.firstDelay
            if let client = readiness.current?.client {
                do throws(StoreError) { try await client.listen(channel) { self.receive($0) } } catch {
                    if !Task.isCancelled { pause = fail(error) }
                }
            }
            try? await TimeSource.continuous.sleep(for: pause)
        }
    }

    /// Receives a payload, or `nil` when the listening has begun.
    private func receive(_ payload: String?) {
        if payload == nil { change(isListening: true, nil) }
        let actions = state.withLock { state in
            if payload == nil { state.failures = 0 }
            return state.actions.filter { payload == nil || $0.payload == payload }.map(\.action)
        }
        for action in actions { action() }
    }

    /// Records the end of the listening and returns the time until the next attempt.
    private func fail(_ error: StoreError) -> Duration {
        change(isListening: false, error)
        if error.isPermanent { return Self.unsupportedPause }
        let failures = state.withLock { state in
            state.failures = min(state.failures + 1, 16)
            return state.failures
        }
        return min(limits.firstDelay * (1 << (failures - 1)), limits.maxDelay)
    }

    private func change(isListening: Bool, _ error: StoreError?) {
        let dropped = state.withLock { state -> (any Sendable)? in
            if state.isListening == isListening { return nil }
            state.isListening = isListening
            // Under the lock, so that the events are in the order of the changes.
            return events.emitUnderLock(.notificationsChanged(isListening: isListening, reason: error))
        }
        withExtendedLifetime(dropped) {}
    }
}
