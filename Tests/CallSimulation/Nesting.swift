package import Retry

/// Calls under nested policies, what happens to them, and the instances that they share.
///
/// Its description is the Swift source of the value, to be pasted into a test.
package struct Nesting: Hashable, Sendable {
    /// The seed of the schedule.
    package var seed: UInt64
    /// The calls that callers make.
    package var calls: [Call]
    /// Who makes them.
    package var callers: [Caller]
    /// The instant from which the dependency is well.
    package var wellFrom: Duration
    /// The circuit breakers, by the number that layers name.
    package var breakers: [BreakerShape]
    /// The rate limits, by the number that layers name.
    package var limits: [LimitShape]
    /// When the store is down, or `nil` if it never is.
    package var outage: Outage?

    /// Creates a nesting.
    package init(
        seed: UInt64 = 1,
        calls: [Call],
        callers: [Caller] = [Caller()],
        wellFrom: Duration = .seconds(1000),
        breakers: [BreakerShape] = [],
        limits: [LimitShape] = [],
        outage: Outage? = nil
    ) {
        self.seed = seed
        self.calls = calls
        self.callers = callers
        self.wellFrom = wellFrom
        self.breakers = breakers
        self.limits = limits
        self.outage = outage
    }
}

/// One caller.
package struct Caller: Hashable, Sendable {
    /// The call that the caller makes, by its number.
    package var call: Int
    /// When the caller begins.
    package var at: Duration
    /// The caller's own limit around the call, or `nil` if it has none.
    package var limit: Duration?
    /// How long after its beginning the caller cancels the call, or `nil` if it never does.
    package var leaves: Duration?
    /// Within how many steps of the simulation the caller cancels the call, or `nil` if it never does.
    ///
    /// The seed draws the step: over many seeds, a call is cancelled at every one of its suspensions.
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
    /// The steps of the operation, which returns after the last.
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
    /// `withAbandoningTimeout`; all of them share one gauge.
    case abandoning(Duration, grace: Duration)
    /// A `RetryPolicy` with a constant wait, which waits so long at most after a rejection.
    case retry(Idempotency, attempts: Int, wait: Duration, rejectionWait: Duration = .zero)
    /// A `HedgePolicy` with one hedge.
    case hedge(after: Duration)
    /// The circuit breaker with this number.
    case breaker(Int)
    /// The limiter with this number.
    case limiter(Int)
    /// The deduplicator, with the key of this number.
    case dedup(Int)
    /// A fallback with a fixed value.
    case fallback
    /// A fallback with another call as its source, and a fixed value behind that.
    case fallbackTo(Call)
    /// The external call; all of them share one.
    case external(Idempotency)
    /// A message in an outbox: the rest of the call runs in the relay's handler, whose result is waited for.
    case outbox
    /// A `Pipeline` of these, of which each is a timeout, a retry, a breaker or a limiter.
    case pipeline([Layer])
}

/// One step of an operation.
///
/// Once the dependency is well, no step fails and none takes longer than a millisecond.
package indirect enum Step: Hashable, Sendable {
    /// Waits, and throws if it is cancelled.
    case wait(Duration)
    /// Waits, and returns early if it is cancelled.
    case waitOrStop(Duration)
    /// Waits, and ignores cancellation.
    case block(Duration)
    /// Waits until it is cancelled.
    case hang
    /// Sends the request: from here on the call may have had an effect.
    case send
    /// Fails.
    case fail(Failure)
    /// Makes a nested call, whose error is the operation's.
    case call(Call)
    /// Makes a nested call and handles its error.
    case attempt(Call)
    /// Starts a task that outlives the call, and makes a call of its own after a wait.
    case spawn(after: Duration, Call)
    /// The whole process stands still.
    case stall(Duration)
}

/// What an operation throws.
package enum Failure: Hashable, Sendable {
    /// An error that says nothing of itself.
    case plain
    /// A `ReliabilityError` of the category `unavailable`.
    case unavailable
    /// A `NotSentError`.
    case notSent
    /// A `ReliabilityError` that asks for a later call.
    case throttled(retryAfter: Duration)
    /// A `ReliabilityError` that finds fault with the request.
    case declined
    /// A `CancellationError` although nobody cancelled.
    case cancellation
}

/// A circuit breaker.
package enum BreakerShape: Hashable, Sendable {
    /// One that opens after failures in a row, stays open for a time, and closes after successful probes.
    case trips(after: Int, openFor: Duration, probes: Int)
    /// One that never opens, and counts failures exactly.
    case countsFailures
    /// One that never opens, and counts calls exactly.
    case countsCalls
}

/// A rate limit.
package struct LimitShape: Hashable, Sendable {
    /// How many calls.
    package var count: Int
    /// In how much time.
    package var period: Duration

    /// Creates a limit.
    package init(_ count: Int, per period: Duration) {
        self.count = count
        self.period = period
    }
}

/// A time in which the store is down.
package struct Outage: Hashable, Sendable {
    /// What happens to calls to the store.
    package enum Kind: Hashable, Sendable {
        /// They fail and do nothing.
        case refuses
        /// They take effect and their outcome is unknown.
        case loses
        /// They hang until they are cancelled.
        case hangs
        /// They hang until the end, whether they are cancelled or not, and take effect then.
        case stalls
    }

    /// The kind.
    package var kind: Kind
    /// When it begins.
    package var from: Duration
    /// When it ends.
    package var to: Duration

    /// Creates an outage.
    package init(_ kind: Kind, from: Duration, to: Duration) {
        self.kind = kind
        self.from = from
        self.to = to
    }
}
