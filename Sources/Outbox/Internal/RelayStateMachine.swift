internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

/// Decides when a relay requests messages and how many, without clock and locks.
struct RelayStateMachine: Sendable {
    /// The next step of a relay.
    enum Step: Hashable {
        /// A request for up to `limit` messages. ``recordNextDue(claimed:nextDue:changeCount:now:)`` takes `changeCount`.
        case claim(limit: Int, changeCount: UInt64)
        /// A wait for a signal, or for the instant unless the instant is `nil`.
        case wait(until: Int64?)
        /// The end of all requests.
        case stop
    }

    /// The shortest wait after a request without a result.
    ///
    /// The wait bounds the rate of requests if the store reports a due message and hands out none.
    private static let minIdle: Int64 = 10_000_000
    private static let storeBackoff = Backoff.exponential(initial: .milliseconds(100), max: .seconds(5), jitter: .equal)

    private let concurrency: Int
    private let maxClaim: Int
    private let pollInterval: Int64
    /// The number of current deliveries and requested messages.
    private(set) var inFlight = 0
    /// The number of deliveries in `inFlight` that wait until their outcomes are stored.
    private var settling = 0
    private(set) var isDraining = false
    /// A Boolean value that indicates whether the relay stops and has cancelled its handlers.
    private(set) var isCancellingHandlers = false
    /// The original tokens of the claims that are delivered alone or wait for that, in their order.
    ///
    /// A renewed claim has a newer token.
    private var isolated: [StoreVersion] = []
    /// The number of deliveries in `inFlight` with handlers that ignore their cancellation.
    private var overrunCount = 0
    /// A Boolean value that indicates whether the last request found a message to deliver alone.
    ///
    /// The next request then asks for one message only, because there may be more such messages.
    private var claimsSingly = false
    private var idleUntil: Int64 = .min
    private var storeRetryAt: Int64 = .min
    private var storeFailures = 0
    /// The number of events that may have made a message due.
    ///
    /// An answer about the next due message is out of date if the number has changed since the request.
    private(set) var changeCount: UInt64 = 0

    init(concurrency: Int, maxClaim: Int, pollInterval: Duration) {
        self.concurrency = concurrency
        self.maxClaim = max(1, maxClaim)
        self.pollInterval = pollInterval.saturatingNanoseconds
    }

    /// Returns the next step at `now`.
    mutating func next(now: Int64) -> Step {
        if isDraining { return .stop }
        // As many deliveries again may wait for the store. Beyond that number, they count as running handlers.
        let free = concurrency - (inFlight - settling) - max(0, settling - concurrency)
        if free <= 0 || !isolated.isEmpty { return .wait(until: nil) }
        let due = max(idleUntil, storeRetryAt)
        if now < due { return .wait(until: due) }
        let limit = claimsSingly ? 1 : min(maxClaim, free)
        inFlight += limit
        return .claim(limit: limit, changeCount: changeCount)
    }

    /// Records the result of a request.
    ///
    /// - Parameters:
    ///   - count: The number of claimed messages.
    ///   - limit: The number of requested messages.
    ///   - isolating: The token of the claim to deliver alone, or `nil` if there is none.
    mutating func recordClaims(_ count: Int, of limit: Int, isolating: StoreVersion?) {
        inFlight -= limit - count
        if let isolating { isolated.append(isolating) }
        claimsSingly = isolating != nil
        storeFailures = 0
        storeRetryAt = .min
    }

    /// Records a request without an answer.
    mutating func recordFailedRequest(_ limit: Int) { inFlight -= limit }

    /// Records the time of the next due message after a request that found fewer messages than requested.
    ///
    /// - Parameters:
    ///   - count: The number of claimed messages.
    ///   - nextDue: The time until the next message is due, or `nil` if no message is pending.
    ///   - changeCount: The count of the request's ``Step/claim(limit:changeCount:)``.
    ///   - now: The present instant.
    mutating func recordNextDue(claimed count: Int, nextDue: Duration?, changeCount: UInt64, now: Int64) {
        // After a change since the request, the answer may be out of date.
        if changeCount != self.changeCount { return }
        let wait = min(nextDue?.saturatingNanoseconds ?? .max, pollInterval)
        idleUntil = now.saturatingAdd(count > 0 ? max(0, wait) : max(wait, Self.minIdle))
    }

    /// Records a failure of the store, which gets no request for the time of a backoff.
    mutating func storeFailed(now: Int64, random: RandomSource) {
        storeFailures = min(storeFailures, .max - 1) + 1
        let wait = Self.storeBackoff.wait(afterAttempt: storeFailures, random: random)
        storeRetryAt = now.saturatingAdd(wait.saturatingNanoseconds)
    }

    /// Records that a handler has ended and the outcome is not stored yet.
    mutating func beginSettling() { settling += 1 }

    /// Records the end of a delivery.
    ///
    /// - Parameters:
    ///   - dueAfter: The wait until the message is due again, or `nil` if the message is settled or lost.
    ///   - wasSettling: A Boolean value that indicates whether ``beginSettling()`` was called. Defaults to `false`.
    ///   - now: The present instant.
    mutating func endDelivery(dueAfter: Duration?, wasSettling: Bool = false, now: Int64) {
        inFlight -= 1
        if wasSettling { settling -= 1 }
        guard let dueAfter else { return }
        changeCount &+= 1
        idleUntil = min(idleUntil, now.saturatingAdd(dueAfter.saturatingNanoseconds))
    }

    /// Records that a message may be due.
    mutating func wake() {
        changeCount &+= 1
        idleUntil = .min
    }

    /// Returns whether the claim is the next to deliver alone, and every other delivery has ended or hangs.
    ///
    /// A handler may hang forever, so no message waits for a handler that hangs.
    func isAlone(_ token: StoreVersion) -> Bool {
        isolated.first == token && inFlight - overrunCount <= isolated.count
    }

    /// Records the end of an isolated delivery, after which other deliveries may begin.
    mutating func endIsolation(of token: StoreVersion) { isolated.removeAll { $0 == token } }

    /// Records a handler that ignores its cancellation, and ends the isolation of its delivery.
    mutating func recordOverrun(of token: StoreVersion) {
        overrunCount += 1
        endIsolation(of: token)
    }

    /// Records the return of a handler that ignored its cancellation.
    mutating func recordOverrunReturn() { overrunCount -= 1 }

    /// Ends all requests.
    mutating func drain() { isDraining = true }

    /// Records that the relay cancels its handlers.
    mutating func cancelHandlers() { isCancellingHandlers = true }
}
