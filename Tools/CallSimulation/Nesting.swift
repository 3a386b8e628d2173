package import Retry

/// Calls under nested policies, their events and their shared instances.
///
/// The description of a nesting is the Swift source of the value, for a test.
package struct Nesting: Hashable, Sendable {
    /// The seed of the schedule.
    package var seed: UInt64
    /// The calls that callers make.
    package var calls: [Call]
    /// The callers.
    package var callers: [Caller]
    /// The instant from which the dependency is healthy.
    package var wellFrom: Duration
    /// The circuit breakers, by the number that layers name.
    package var breakers: [BreakerShape]
    /// The rate limits, by the number that layers name.
    package var limits: [LimitShape]
    /// The bulkheads, by the number that layers name.
    package var bulkheads: [BulkheadShape]
    /// The outage of the store, or `nil` if the store is always available.
    package var outage: Outage?

    /// Creates a nesting.
    package init(
        seed: UInt64 = 1,
        calls: [Call],
        callers: [Caller] = [Caller()],
        wellFrom: Duration = .seconds(1000),
        breakers: [BreakerShape] = [],
        limits: [LimitShape] = [],
        bulkheads: [BulkheadShape] = [],
        outage: Outage? = nil
    ) {
        self.seed = seed
        self.calls = calls
        self.callers = callers
        self.wellFrom = wellFrom
        self.breakers = breakers
        self.limits = limits
        self.bulkheads = bulkheads
        self.outage = outage
    }
}

/// A caller of a call.
package struct Caller: Hashable, Sendable {
    /// The call that the caller makes, by its number.
    package var call: Int
    /// The instant at which the caller begins.
    package var at: Duration
    /// The caller's own limit around the call, or `nil` if there is no limit.
    package var limit: Duration?
    /// The time from the beginning to the cancellation of the call, or `nil` without a cancellation.
    package var leaves: Duration?
    /// The simulation's steps within which the caller cancels the call, or `nil` without a cancellation.
    ///
    /// The seed draws the step, so over many seeds every suspension of a call is covered.
    package var leavesWithin: Int?

    /// Creates a caller.
    package init(
        _ call: Int = 0,
        at: Duration = .zero,
        limit: Duration? = nil,
        leaves: Duration? = nil,
        leavesWithin: Int? = nil
    ) {
        self.call = call
        self.at = at
        self.limit = limit
        self.leaves = leaves
        self.leavesWithin = leavesWithin
    }
}

/// An operation under layers of policies.
package struct Call: Hashable, Sendable {
    /// The layers, the outermost first.
    package var layers: [Layer]
    /// The steps of the operation, which returns after the last step.
    package var steps: [Step]

    /// Creates a call.
    package init(_ layers: [Layer] = [], _ steps: [Step] = [.send]) {
        self.layers = layers
        self.steps = steps
    }
}

/// A policy around the rest of a call.
package indirect enum Layer: Hashable, Sendable {
    /// `withTimeout`.
    case timeout(Duration)
    /// `withTimeout`, whose operation moves its deadline to another limit after a wait.
    case movedTimeout(Duration, after: Duration, to: Duration)
    /// `withTimeout` with a default.
    case timeoutOrDefault(Duration)
    /// `withAbandoningTimeout`. All of these layers share one `AbandonedOperations`.
    case abandoning(Duration, grace: Duration)
    /// A `RetryPolicy` with a constant wait and a longest wait after a rejection.
    case retry(Idempotency, attempts: Int, wait: Duration, rejectionWait: Duration = .zero)
    /// A `Hedger` with one hedge.
    case hedge(after: Duration)
    /// The circuit breaker with this number.
    case breaker(Int)
    /// The limiter with this number.
    case limiter(Int)
    /// The bulkhead with this number.
    case bulkhead(Int)
    /// The deduplicator, with the key of this number.
    case dedup(Int)
    /// A fallback with a fixed value.
    case fallback
    /// A fallback with another call as its source, and then a fixed value.
    case fallbackTo(Call)
    /// The external call, which all of these layers share.
    case external(Idempotency)
    /// A message in an outbox. The rest of the call runs in the relay's handler, and the layer waits for its result.
    case outbox
    /// A `Pipeline` of timeouts, retries, breakers, limiters and bulkheads.
    case pipeline([Layer])
}

/// A step of an operation.
///
/// While the dependency is healthy, no step fails, and no step takes longer than a millisecond.
package indirect enum Step: Hashable, Sendable {
    /// Waits, and throws if it is cancelled.
    case wait(Duration)
    /// Waits, and returns early if it is cancelled.
    case waitOrStop(Duration)
    /// Waits, and ignores cancellation.
    case block(Duration)
    /// Waits until it is cancelled.
    case hang
    /// Sends the request, after which the call may have had an effect.
    case send
    /// Fails.
    case fail(Failure)
    /// Makes a nested call, whose error ends the operation.
    case call(Call)
    /// Makes a nested call and handles its error.
    case attempt(Call)
    /// Starts a task that outlives the call and makes its own call after a wait.
    case spawn(after: Duration, Call)
    /// Stalls the whole process.
    case stall(Duration)
}

/// The error of an operation.
package enum Failure: Hashable, Sendable {
    /// An error without a category.
    case plain
    /// A `ReliabilityError` of the category `unavailable`.
    case unavailable
    /// A `NotSentError`.
    case notSent
    /// A `ReliabilityError` with a retry-after.
    case throttled(retryAfter: Duration)
    /// A `ReliabilityError` that blames the request.
    case declined
    /// A `CancellationError` without a cancellation.
    case cancellation
}

/// A circuit breaker.
package enum BreakerShape: Hashable, Sendable {
    /// A breaker that opens after consecutive failures and closes after successful probes.
    case trips(after: Int, openDuration: Duration, probes: Int)
    /// A breaker that never opens and counts failures exactly.
    case countsFailures
    /// A breaker that never opens and counts calls exactly.
    case countsCalls
}

/// A rate limit.
package struct LimitShape: Hashable, Sendable {
    /// The number of calls.
    package var count: Int
    /// The period of the limit.
    package var period: Duration

    /// Creates a limit.
    package init(_ count: Int, per period: Duration) {
        self.count = count
        self.period = period
    }
}

/// A bulkhead.
package struct BulkheadShape: Hashable, Sendable {
    /// The number of places.
    package var places: Int
    /// The number of waiting calls.
    package var waiting: Int
    /// The longest wait.
    package var wait: Duration

    /// Creates a bulkhead.
    package init(_ places: Int, waiting: Int = 0, for wait: Duration = .seconds(1)) {
        self.places = places
        self.waiting = waiting
        self.wait = wait
    }
}

/// A time in which the store is down.
package struct Outage: Hashable, Sendable {
    /// The effect of an outage on calls to the store.
    package enum Kind: Hashable, Sendable {
        /// Calls fail without an effect.
        case rejects
        /// Calls take effect, and their outcome is unknown.
        case loses
        /// Calls hang until their cancellation.
        case hangs
        /// Calls hang until the end of the outage, regardless of a cancellation, and then take effect.
        case stalls
    }

    /// The kind.
    package var kind: Kind
    /// The beginning of the outage.
    package var from: Duration
    /// The end of the outage.
    package var to: Duration

    /// Creates an outage.
    package init(_ kind: Kind, from: Duration, to: Duration) {
        self.kind = kind
        self.from = from
        self.to = to
    }
}
