import CircuitBreaker
import Dedup
import Outbox
import RateLimiter
import Reliability
import ReliabilityCore
import ReliabilityTesting
import Retry
import Timeout

// How the library's parts are called.

extension World {
    static let defaultValue = -1
    static let fallbackValue = -2

    func perform(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) async throws -> Int {
        // A caller who leaves waits for a store that is down, for a while.
        defer { if nesting.outage != nil, run.usesStore { run.outer.cannotBeInterruptedByCaller(until: now) } }
        switch run.layer {
        case .timeout(let limit):
            return try await withTimeout(limit, clock: clock) { try await attempt(run, inside) }
        case .movedTimeout(let limit, let wait, let new):
            return try await withTimeout(limit, clock: clock) { deadline in
                try await attempt(run) { attempt in
                    try await clock.sleep(for: wait)
                    if deadline.move(to: new) { run.ownDeadline = now + Int64(new / .nanoseconds(1)) }
                    return try await inside(attempt)
                }
            }
        case .timeoutOrDefault(let limit):
            return try await withTimeout(limit, default: World.defaultValue, clock: clock) {
                try await attempt(run, inside)
            }
        case .abandoning(let limit, let grace):
            return try await withAbandoningTimeout(
                limit,
                grace: grace,
                abandoned: gauge,
                clock: clock,
                disposing: { self.disposedValues.append((run, $0)) },
                operation: {
                    let value = try await self.attempt(run, inside)
                    if run.end != nil { self.lateValues.append((run, value)) }
                    return value
                }
            )
        case .hedge(let delay):
            let hedge = HedgePolicy(HedgeConfiguration(after: .fixed(delay)), clock: clock)
            return try await hedge.run { _ in try await self.attempt(run, inside) }
        case .dedup(let key):
            let result = try await deduplicator.run(["owner", "\(key)"]) { _ in
                String(try await attempt(run, inside))
            }
            return Int(result.value) ?? 0
        case .fallback:
            return try await Fallback(.value(World.fallbackValue)).run { try await attempt(run, inside) }.value
        case .fallbackTo(let call):
            let source = Fallback<Int>.Answer.source { try await self.askSource(call, run) }
            return try await Fallback(source, .value(World.fallbackValue)).run { try await attempt(run, inside) }.value
        case .external(let idempotency):
            return try await externalCall().run(idempotency) { try await attempt(run, inside) }
        case .outbox:
            return try await outbox().deliver(run, inside)
        case .pipeline(let layers):
            return try await attempt(run) { attempt in
                let chain = PolicyChain(self, layers, in: attempt)
                return try await Pipeline("nested") { chain }.run { try await inside(chain.innermost) }
            }
        case .retry, .breaker, .limiter:
            return try await policy(run.layer).run { try await attempt(run, inside) }
        }
    }

    /// Makes the call that is a fallback's source.
    private func askSource(_ call: Call, _ run: Run) async throws -> Int {
        expect(
            now < run.outer.expiry,
            .boundsAttempts,
            "\(run.layer.source) asked its source after the deadline"
        )
        let value = try await make(call, in: run.outer)
        run.sourceValue = value
        return value
    }

    /// The policy of a layer that may stand in a pipeline.
    func policy(_ layer: Layer) -> any CallPolicy {
        switch layer {
        case .timeout(let limit):
            return TimeoutPolicy(limit, clock: clock)
        case .retry(let idempotency, let attempts, let wait):
            let backoff = Backoff.constant(wait, jitter: .none)
            return RetryPolicy(
                RetryConfiguration(idempotency, maxAttempts: attempts, backoff: backoff, throttledBackoff: backoff),
                clock: clock,
                randomness: SeededGenerator(seed: nesting.seed)
            )
        case .breaker(let number):
            return breakers[number]
        case .limiter(let number):
            return limiters[number]
        default:
            preconditionFailure("\(layer) is no policy of a pipeline")
        }
    }
}

/// The policies of a pipeline, each with its ground truth.
private final class PolicyChain: CallPolicy, @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    private let world: World
    private let policies: [(layer: Layer, policy: any CallPolicy)]
    private let outer: Attempt
    /// The run of the operation that is about to begin.
    private(set) var innermost: Attempt

    init(_ world: World, _ layers: [Layer], in outer: Attempt) {
        self.world = world
        policies = layers.map { ($0, world.policy($0)) }
        self.outer = outer
        innermost = outer
    }

    var layers: [PolicyLayer] { policies.flatMap(\.policy.layers) }

    func run<Success>(_ operation: () async throws -> Success) async throws -> Success {
        try await run(0, in: outer, operation)
    }

    private func run<Success>(
        _ index: Int,
        in outer: Attempt,
        _ operation: () async throws -> Success
    ) async throws -> Success {
        guard index < policies.count else {
            innermost = outer
            return try await operation()
        }
        let (layer, policy) = policies[index]
        let run = world.begin(layer, in: outer)
        run.isInPipeline = true
        do {
            let success = try await policy.run {
                let attempt = world.begin(run)
                do {
                    let success = try await self.run(index + 1, in: attempt, operation)
                    world.end(attempt, .returned(success as? Int ?? 0))
                    return success
                } catch {
                    world.end(attempt, .threw(error))
                    throw error
                }
            }
            world.end(run, .returned(success as? Int ?? 0))
            return success
        } catch {
            world.end(run, .threw(error))
            throw error
        }
    }
}

/// The outbox through which calls hand over to a relay, and wait for what its handler does.
final class Post: @unchecked Sendable {
    // @unchecked Sendable: used on the simulation's one thread only.

    /// One message.
    final class Mail: @unchecked Sendable {
        let run: Run
        let inside: @Sendable (Attempt) async throws -> Int
        var wasSent = false
        var deliveries: [(number: Int, attempt: Attempt)] = []
        var continuation: CheckedContinuation<Int, any Error>?
        var first: End?

        init(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) {
            self.run = run
            self.inside = inside
        }

        /// Nothing interrupts the call to the store.
        func sendingEnded(at time: Int64) {
            run.busyUntil = max(run.busyUntil, time)
            run.outer.cannotBeInterrupted(until: time)
        }

        /// The first delivery has ended, or the caller has left.
        func end(_ how: End) {
            if first != nil { return }
            first = how
            resume()
        }

        func resume() {
            guard let first, let continuation else { return }
            self.continuation = nil
            switch first {
            case .returned(let value): continuation.resume(returning: value)
            case .threw(let error): continuation.resume(throwing: error)
            }
        }
    }

    static let configuration = OutboxRelayConfiguration(
        maxAttempts: 3,
        backoff: .constant(.seconds(1), jitter: .none),
        pollInterval: .seconds(60)
    )

    private unowned let world: World
    private let queue: OutboxQueue
    private(set) var mails: [Mail] = []
    private var relay: (OutboxRelay, Task<Void, Never>)?
    /// The call that needed the relay first.
    private var starter: Attempt?

    init(_ world: World) {
        self.world = world
        queue = OutboxQueue("post", store: world.store)
    }

    func deliver(_ run: Run, _ inside: @escaping @Sendable (Attempt) async throws -> Int) async throws -> Int {
        // Started when it is first needed, as a part of an application may be: inside of somebody's call.
        startRelay(in: run.outer)
        let message = OutboxMessage(id: "\(mails.count)", topic: "mail", payload: [])
        let mail = Mail(run, inside)
        mails.append(mail)
        run.outer.send(at: world.moment())
        // Nothing bounds this call.
        _ = try await queue.commit([], sending: [message])
        mail.sendingEnded(at: world.now)
        mail.wasSent = true
        relay?.0.wake()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                mail.continuation = continuation
                mail.resume()
            }
        } onCancel: {
            mail.end(.threw(CancellationError()))
        }
    }

    private func startRelay(in starter: Attempt) {
        if relay != nil { return }
        self.starter = starter
        let new = OutboxRelay(
            queue,
            Post.configuration,
            clock: world.clock,
            randomness: SeededGenerator(seed: 1)
        ) { [unowned self] delivery in
            try await handle(delivery)
        }
        relay = (new, Task(executorPreference: world.executor) { await new.run() })
    }

    private func handle(_ delivery: OutboxDelivery) async throws {
        guard let number = Int(delivery.message.id) else { return }
        let mail = mails[number]
        let limit = Int64(Post.configuration.timeLimit / .nanoseconds(1))
        let origin = Origin("a delivery", starter: starter, deadline: world.now + limit)
        let attempt = Attempt(origin, at: world.moment())
        world.judgeDelivery(delivery.attempt, of: mail)
        mail.deliveries.append((delivery.attempt, attempt))
        do {
            let value = try await mail.inside(attempt)
            world.end(attempt, .returned(value))
            mail.end(.returned(value))
        } catch {
            world.end(attempt, .threw(error))
            // The message was sent, whatever the handler says of its own requests.
            mail.end(.threw(PlainError(number: world.moment().number)))
            throw error
        }
    }

    /// Whether every message was delivered, or delivered as often as is allowed.
    private var isDone: Bool {
        mails.allSatisfy { mail in
            !mail.wasSent || mail.deliveries.count == Post.configuration.maxAttempts
                || mail.deliveries.contains { $0.attempt.end?.how.value != nil }
        }
    }

    /// Gives the relay time for what is left, and lets it end.
    func close() async {
        guard let (relay, task) = relay else { return }
        // Each delivery may take its whole limit.
        for _ in 0..<4 where !isDone { try? await world.clock.sleep(for: .seconds(60)) }
        relay.drain()
        await task.value
    }
}
