public import ReliabilityCore
public import Retry

extension OutboxRelay {
    /// The configuration of an ``OutboxRelay``.
    public struct Configuration: Hashable, Sendable {
        /// The number of deliveries after which a message becomes a dead letter; at least 1.
        ///
        /// A delivery that is postponed or released does not count.
        public var maxAttempts: Int

        /// The waits between the deliveries of a message.
        public var backoff: Backoff

        /// The longest wait that an error can ask for by ``DeliveryDecision/retryAfter(_:)``.
        ///
        /// The limit is not negative. A longer wait is cut to the limit. The wait of the backoff has a limit of its
        /// own.
        public var maxRetryAfter: Duration

        /// The largest number of deliveries at the same time; at least 1.
        ///
        /// A delivery whose handler has returned waits until the store has its outcome. As many further deliveries may
        /// wait for the store. After a crash, up to twice this number of messages can therefore be delivered again.
        public var concurrency: Int

        /// The time after which a delivery is cancelled.
        ///
        /// The timeout is positive. The handler sees the timeout as its deadline. A handler that throws after the
        /// timeout has failed with `outbox.delivery_timed_out`. A handler that returns after the timeout has delivered
        /// the message.
        public var deliveryTimeout: Duration

        /// The time after the last renewal of a message's lease at which another relay can take over the message.
        ///
        /// The lease is positive. The relay renews the lease while a delivery lasts, so the lease can be shorter than a
        /// delivery.
        public var lease: Duration

        /// The longest time between two requests for messages; positive.
        ///
        /// A commit through the same ``OutboxQueue`` value wakes the relay immediately.
        public var pollInterval: Duration

        /// The time that a cancelled handler has to return.
        ///
        /// The time is not negative. A handler that has not returned by then is reported as
        /// ``OutboxEvent/overrun(id:attempt:)``. A cancelled ``OutboxRelay/run()`` abandons the handler.
        public var cancellationGrace: Duration

        /// The time for which dead letters are kept, or `nil` to keep them until they are redriven or removed.
        ///
        /// The time is positive. Dead letters count against the limits of the store. A removed dead letter is never
        /// delivered. The relay reports each removal as ``OutboxEvent/removed(id:reason:)``.
        public var deadLetterRetention: Duration?

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maxAttempts: The number of deliveries after which a message becomes a dead letter. Defaults to 20.
        ///   - backoff: The waits between the deliveries of a message. Defaults to 1 second, doubling up to 5 minutes,
        ///     of which half is random.
        ///   - maxRetryAfter: The longest wait that an error can ask for. Defaults to 1 hour.
        ///   - concurrency: The largest number of deliveries at the same time. Defaults to 8.
        ///   - deliveryTimeout: The time after which a delivery is cancelled. Defaults to 30 seconds.
        ///   - lease: The time after its last renewal at which a lease ends. Defaults to 60 seconds.
        ///   - pollInterval: The longest time between two requests for messages. Defaults to 5 seconds.
        ///   - cancellationGrace: The time that a cancelled handler has to return. Defaults to 5 seconds.
        ///   - deadLetterRetention: The time for which dead letters are kept, or `nil`. Defaults to `nil`.
        public init(
            maxAttempts: Int = 20,
            backoff: Backoff = .exponential(initial: .seconds(1), max: .seconds(300), jitter: .equal),
            maxRetryAfter: Duration = .seconds(3600),
            concurrency: Int = 8,
            deliveryTimeout: Duration = .seconds(30),
            lease: Duration = .seconds(60),
            pollInterval: Duration = .seconds(5),
            cancellationGrace: Duration = .seconds(5),
            deadLetterRetention: Duration? = nil
        ) {
            self.maxAttempts = maxAttempts
            self.backoff = backoff
            self.maxRetryAfter = maxRetryAfter
            self.concurrency = concurrency
            self.deliveryTimeout = deliveryTimeout
            self.lease = lease
            self.pollInterval = pollInterval
            self.cancellationGrace = cancellationGrace
            self.deadLetterRetention = deadLetterRetention
        }

        /// The defaults of the initializer.
        public static let standard = Self()

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("outbox relay")
            problems.require(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
            problems.require("backoff", backoff.validate)
            problems.require(maxRetryAfter >= .zero, "maxRetryAfter must not be negative (is \(maxRetryAfter))")
            problems.require(concurrency >= 1, "concurrency must be at least 1 (is \(concurrency))")
            problems.require(deliveryTimeout > .zero, "deliveryTimeout must be positive (is \(deliveryTimeout))")
            problems.require(lease > .zero, "lease must be positive (is \(lease))")
            problems.require(pollInterval > .zero, "pollInterval must be positive (is \(pollInterval))")
            problems.require(
                cancellationGrace >= .zero,
                "cancellationGrace must not be negative (is \(cancellationGrace))"
            )
            if let deadLetterRetention {
                problems.require(
                    deadLetterRetention > .zero,
                    "deadLetterRetention must be positive (is \(deadLetterRetention))"
                )
            }
            try problems.throwIfAny()
        }
    }
}
