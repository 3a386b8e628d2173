internal import ReliabilityCore
public import Retry

/// How messages are delivered.
public struct OutboxRelayConfiguration: Hashable, Sendable {
    /// How many deliveries of a message fail before it is dead.
    public let maxAttempts: Int

    /// The waits between the deliveries of a message.
    public let backoff: Backoff

    /// The longest wait that a failing consumer may ask for; a longer one is cut to it.
    public let maximumRetryAfter: Duration

    /// How many deliveries are under way at once.
    public let concurrency: Int

    /// How long a delivery may take before it is cancelled and counts as failed.
    public let timeLimit: Duration

    /// How long after its last sign of life a relay's messages go to another.
    ///
    /// It is renewed while a delivery lasts, so it need not cover one.
    public let lease: Duration

    /// How long the relay sleeps at most before it looks for messages of which nobody told it.
    public let pollInterval: Duration

    /// The longest wait for one call to the store.
    public let storeTimeLimit: Duration

    /// The time after its cancellation for which a handler is awaited, before its delivery counts as overrun.
    ///
    /// A cancelled ``OutboxRelay/run()`` waits no longer for its handlers.
    public let cancellationGrace: Duration

    /// The time for which a dead message is kept, or `nil` to keep it until somebody redrives or removes it.
    ///
    /// Dead messages take room in the store, and nobody else removes them. What is removed was never delivered, so this is
    /// a decision: each removal is reported as ``OutboxEvent/removed(id:reason:)``.
    public let deadRetention: Duration?

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - maxAttempts: How many deliveries of a message fail before it is dead.
    ///   - backoff: The waits between the deliveries of a message.
    ///   - maximumRetryAfter: The longest wait that a failing consumer may ask for.
    ///   - concurrency: How many deliveries are under way at once.
    ///   - timeLimit: How long a delivery may take.
    ///   - lease: How long after its last sign of life a relay's messages go to another.
    ///   - pollInterval: How long the relay sleeps at most before it looks again.
    ///   - storeTimeLimit: The longest wait for one call to the store.
    ///   - cancellationGrace: The time after its cancellation for which a handler is awaited.
    ///   - deadRetention: The time for which a dead message is kept. Defaults to `nil`: until somebody redrives or removes it.
    /// - Precondition: `maxAttempts` and `concurrency` are at least 1, every duration is positive, and
    ///   `maximumRetryAfter` and `cancellationGrace` are not negative.
    public init(
        maxAttempts: Int = 20,
        backoff: Backoff = .exponential(initial: .seconds(1), cap: .seconds(300), jitter: .equal),
        maximumRetryAfter: Duration = .seconds(3600),
        concurrency: Int = 8,
        timeLimit: Duration = .seconds(30),
        lease: Duration = .seconds(60),
        pollInterval: Duration = .seconds(5),
        storeTimeLimit: Duration = .seconds(3),
        cancellationGrace: Duration = .seconds(5),
        deadRetention: Duration? = nil
    ) {
        requireValid(maxAttempts >= 1, "maxAttempts must be at least 1 (is \(maxAttempts))")
        requireValid(maximumRetryAfter >= .zero, "maximumRetryAfter must not be negative (is \(maximumRetryAfter))")
        requireValid(concurrency >= 1, "concurrency must be at least 1 (is \(concurrency))")
        requireValid(timeLimit > .zero, "timeLimit must be positive (is \(timeLimit))")
        requireValid(lease > .zero, "lease must be positive (is \(lease))")
        requireValid(pollInterval > .zero, "pollInterval must be positive (is \(pollInterval))")
        requireValid(storeTimeLimit > .zero, "storeTimeLimit must be positive (is \(storeTimeLimit))")
        requireValid(cancellationGrace >= .zero, "cancellationGrace must not be negative (is \(cancellationGrace))")
        if let deadRetention {
            requireValid(deadRetention > .zero, "deadRetention must be positive (is \(deadRetention))")
        }
        self.maxAttempts = maxAttempts
        self.backoff = backoff
        self.maximumRetryAfter = maximumRetryAfter
        self.concurrency = concurrency
        self.timeLimit = timeLimit
        self.lease = lease
        self.pollInterval = pollInterval
        self.storeTimeLimit = storeTimeLimit
        self.cancellationGrace = cancellationGrace
        self.deadRetention = deadRetention
    }
}
