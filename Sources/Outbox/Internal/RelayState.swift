internal import ReliabilityCore
internal import ReliabilityStore
internal import Retry

/// When a relay asks its store for messages, and for how many.
struct RelayState: Sendable {
    /// What to do now.
    enum Action: Hashable {
        /// Ask for this many; report with what was known then.
        case claim(limit: Int, news: UInt64)
        /// Wait for a signal, or until the instant.
        case wait(until: Int64?)
        /// Ask no more.
        case stop
    }

    /// The shortest wait after a question that found nothing, whatever the store says about what is due.
    private static let minimumIdle: Int64 = 10_000_000
    private static let storeBackoff = Backoff.exponential(initial: .milliseconds(100), cap: .seconds(5), jitter: .equal)

    private let concurrency: Int
    private let maximumClaim: Int
    private let pollInterval: Int64
    /// Messages that are being delivered, or were asked for.
    private(set) var inFlight = 0
    private(set) var isDraining = false
    /// Whether the handlers have been cancelled because the relay stops.
    private(set) var isCut = false
    /// The tokens of the claims that are delivered alone, or wait for that; the first is the next.
    private var isolated: [StoreVersion] = []
    /// Deliveries among `inFlight` whose handlers ignore their cancellation.
    private var overrun = 0
    /// Whether the last claim had a message that has to be delivered alone: there may be more.
    private var isCautious = false
    private var idleUntil: Int64 = .min
    private var storeRetryAt: Int64 = .min
    private var storeFailures = 0
    /// How often something was heard of a message that may be due.
    private var news: UInt64 = 0

    init(concurrency: Int, maximumClaim: Int, pollInterval: Duration) {
        self.concurrency = concurrency
        self.maximumClaim = max(1, maximumClaim)
        self.pollInterval = pollInterval.saturatingNanoseconds
    }

    /// What to do at `now`.
    mutating func next(now: Int64) -> Action {
        if isDraining { return .stop }
        if inFlight >= concurrency || !isolated.isEmpty { return .wait(until: nil) }
        let due = max(idleUntil, storeRetryAt)
        if now < due { return .wait(until: due) }
        let limit = isCautious ? 1 : min(maximumClaim, concurrency - inFlight)
        inFlight += limit
        return .claim(limit: limit, news: news)
    }

    /// The store handed out messages: as many as it was asked for, or fewer.
    ///
    /// - Parameters:
    ///   - count: How many.
    ///   - limit: How many it was asked for.
    ///   - isolating: The token of the one that is to be delivered alone, or `nil` if there is none.
    mutating func claimed(_ count: Int, of limit: Int, isolating: StoreVersion?) {
        inFlight -= limit - count
        if let isolating { isolated.append(isolating) }
        isCautious = isolating != nil
        storeFailures = 0
        storeRetryAt = .min
    }

    /// The store did not answer.
    mutating func notClaimed(_ limit: Int) { inFlight -= limit }

    /// The store had fewer messages than it was asked for, and says when the next is due; nil for none.
    mutating func idle(claimed count: Int, nextDue: Duration?, news: UInt64, now: Int64) {
        // Something was heard since the question: the answer may be out of date.
        if news != self.news { return }
        let wait = min(nextDue?.saturatingNanoseconds ?? .max, pollInterval)
        idleUntil = now.saturatingAdd(count > 0 ? max(0, wait) : max(wait, Self.minimumIdle))
    }

    /// The store failed; returns how long it is left alone.
    mutating func storeFailed(now: Int64, random: RandomSource) -> Duration {
        storeFailures = min(storeFailures, .max - 1) + 1
        let wait = Self.storeBackoff.wait(afterAttempt: storeFailures, random: random)
        storeRetryAt = now.saturatingAdd(wait.saturatingNanoseconds)
        return wait
    }

    /// A delivery is over; when its message is to be delivered again, this is the wait.
    mutating func delivered(retryAfter: Duration?, now: Int64) {
        inFlight -= 1
        guard let retryAfter else { return }
        news &+= 1
        idleUntil = min(idleUntil, now.saturatingAdd(retryAfter.saturatingNanoseconds))
    }

    /// There may be a message.
    mutating func wake() {
        news &+= 1
        idleUntil = .min
    }

    /// Whether the claim is the next to be delivered alone, and no delivery but hanging ones is under way.
    ///
    /// A handler that hangs may do so forever, so no message waits for it.
    func isAlone(_ token: StoreVersion) -> Bool {
        isolated.first == token && inFlight - overrun <= isolated.count
    }

    /// The delivery of a claim has ended: if it was made alone, others may follow.
    mutating func endIsolation(of token: StoreVersion) { isolated.removeAll { $0 == token } }

    /// The handler of a claim ignores its cancellation: if it was delivered alone, others may follow.
    mutating func overran(_ token: StoreVersion) {
        overrun += 1
        endIsolation(of: token)
    }

    /// A handler that ignored its cancellation has returned.
    mutating func returned() { overrun -= 1 }

    /// Ask no more.
    mutating func drain() { isDraining = true }

    /// The handlers are cancelled.
    mutating func cut() { isCut = true }
}
