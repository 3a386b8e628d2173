internal import ReliabilityCore

/// The behavior of a bulkhead without clock and locks.
///
/// Every time is a clock reading in nanoseconds. `Waiter` is what the owner resumes.
struct BulkheadStateMachine<Waiter: Sendable>: Sendable {
    /// The place of a waiting call.
    struct Ticket: Hashable, Sendable {
        let priority: CallPriority
        fileprivate let place: FairQueue<Waiter>.Ticket
        /// A Boolean value that indicates whether the deadline of the call ends the wait before the longest wait.
        fileprivate let endsForDeadline: Bool
    }

    /// The end of a wait.
    enum Verdict: Sendable {
        /// The call runs after a wait.
        case admitted(waited: Int64)
        /// The call does not run.
        case rejected(BulkheadError)
    }

    /// A waiting call that the owner resumes with its verdict.
    struct Resumption: Sendable {
        let waiter: Waiter
        let verdict: Verdict
    }

    /// The answer to an arriving call.
    enum Arrival: Sendable {
        case admitted
        /// The call waits, at the latest until a reading, when the owner calls ``expire(_:)``.
        case waits(Ticket, until: Int64)
        case rejected(BulkheadError)
    }

    private(set) var limit: Int
    private(set) var running = 0
    private(set) var waiting = 0
    private(set) var counters = BulkheadCounters()
    private var isAdaptive: Bool
    private(set) var configuration: BulkheadPolicy.Configuration
    private var queues = CallPriority.allCases.map { _ in FairQueue<Waiter>() }
    private var adaptation: LimitAdaptation?
    private var typicalDuration = TypicalDuration()

    init(_ configuration: BulkheadPolicy.Configuration) {
        self.configuration = configuration
        switch configuration.limit {
        case .fixed(let count):
            limit = count
            isAdaptive = false
        case .adaptive(let settings):
            isAdaptive = true
            adaptation = LimitAdaptation(settings)
            limit = settings.initial
        }
    }

    /// A Boolean value that indicates whether the durations of calls that begin now are of use.
    ///
    /// The clock is not read while most places are free.
    var needsDuration: Bool { isAdaptive || running * 2 >= limit }

    // MARK: Arrivals

    /// Admits a call if a place is free and no call waits.
    mutating func tryAdmit() -> Bool {
        guard running < limit, waiting == 0 else { return false }
        running += 1
        counters.admitted += 1
        return true
    }

    /// Admits a call, adds the call to the queue, or rejects the call.
    ///
    /// - Parameters:
    ///   - waiter: The call.
    ///   - priority: The priority.
    ///   - tenant: The tenant, or `nil`.
    ///   - deadline: The reading at which the call's deadline passes, or `Int64.max`.
    ///   - now: The time.
    /// - Returns: The answer, and a waiting call that has lost its place in the queue.
    mutating func arrive(
        _ waiter: Waiter,
        _ priority: CallPriority,
        of tenant: String?,
        deadline: Int64,
        now: Int64
    ) -> (Arrival, displaced: Resumption?) {
        if tryAdmit() { return (.admitted, nil) }
        if configuration.maxWaiting == 0 { return (.rejected(reject(.full, priority)), nil) }
        let latest = latestBeginning(before: deadline)
        if latest <= now { return (.rejected(reject(.deadline, priority)), nil) }
        var displaced: Resumption?
        if waiting >= configuration.maxWaiting {
            displaced = displace(for: priority, tenant)
            if displaced == nil { return (.rejected(reject(.full, priority)), nil) }
        }
        let index = priority.rawValue
        let place = queues[index].append(waiter, of: tenant, at: now, deadline: deadline)
        waiting += 1
        let end = now.saturatingAdd(configuration.maxWait.saturatingNanoseconds)
        let ticket = Ticket(priority: priority, place: place, endsForDeadline: latest < end)
        return (.waits(ticket, until: min(latest, end)), displaced)
    }

    /// The latest reading at which a call can begin and still end before its deadline.
    private func latestBeginning(before deadline: Int64) -> Int64 {
        deadline == .max ? .max : deadline.saturatingSubtract(typicalDuration.nanoseconds)
    }

    /// Removes a waiting call that is less entitled to a place in the queue than an arriving call.
    ///
    /// The call has a lower priority, or the same priority and a tenant with more waiting calls.
    private mutating func displace(for priority: CallPriority, _ tenant: String?) -> Resumption? {
        for index in 0...priority.rawValue {
            let isLower = index < priority.rawValue
            if !isLower, queues[index].longest <= queues[index].count(of: tenant) + 1 { break }
            guard let departure = queues[index].removeNewestOfLongest() else { continue }
            waiting -= 1
            return resumption(departure, .displaced, CallPriority.allCases[index])
        }
        return nil
    }

    // MARK: Ends

    /// Ends a call.
    ///
    /// The owner calls ``fill(now:_:)`` afterwards if a call waits.
    mutating func release() { running -= 1 }

    /// Records the duration of a call that ends, before its release.
    ///
    /// - Returns: `true` if the limit has changed.
    mutating func record(_ outcome: Outcome, duration: Int64, now: Int64) -> Bool {
        if outcome == .success { typicalDuration.record(duration) }
        adaptation?.record(outcome, duration: duration, running: running, now: now)
        return applyAdaptation()
    }

    private mutating func applyAdaptation() -> Bool {
        guard let new = adaptation?.limit, new != limit else { return false }
        limit = new
        return true
    }

    /// Occupies a place beyond the limit for work that its caller has left.
    mutating func occupy() { running += 1 }

    /// Gives free places to waiting calls.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - resume: Receives each call whose wait has ended.
    mutating func fill(now: Int64, _ resume: (Resumption) -> Void) {
        while running < limit, waiting > 0 {
            guard let index = queues.lastIndex(where: { !$0.isEmpty }) else { break }
            let priority = CallPriority.allCases[index]
            let target = overloadTarget(index, now)
            if let target { rejectOld(index, target, now, resume) }
            guard let departure = queues[index].next(takesNewest: target != nil) else { break }
            waiting -= 1
            if latestBeginning(before: departure.deadline) <= now {
                resume(resumption(departure, .deadline, priority))
            } else {
                running += 1
                let waited = max(0, now.saturatingSubtract(departure.arrival))
                counters.countAdmission(after: waited)
                resume(Resumption(waiter: departure.element, verdict: .admitted(waited: waited)))
            }
        }
    }

    /// The longest wait of the tenant whose turn is next, or `nil` if the tenant is not overloaded.
    private func overloadTarget(_ index: Int, _ now: Int64) -> Int64? {
        guard case .adaptiveLIFO(let target, let interval) = configuration.order, let start = queues[index].start
        else { return nil }
        let isOverloaded = now.saturatingSubtract(start) >= interval.saturatingNanoseconds
        return isOverloaded ? target.saturatingNanoseconds : nil
    }

    /// Rejects calls that have waited longer than the target, a few for each admission.
    ///
    /// The calls belong to the tenant whose newest call is admitted next. The load of one tenant therefore causes no
    /// rejection of another tenant's calls. No call is rejected while a call of a lower priority waits.
    private mutating func rejectOld(_ index: Int, _ target: Int64, _ now: Int64, _ resume: (Resumption) -> Void) {
        guard queues[..<index].allSatisfy(\.isEmpty) else { return }
        let oldest = now.saturatingSubtract(target)
        for _ in 0..<8 {
            guard let departure = queues[index].removeOldest(addedBefore: oldest) else { return }
            waiting -= 1
            resume(resumption(departure, .overloaded, CallPriority.allCases[index]))
        }
    }

    /// Ends the wait of a call at its latest reading.
    ///
    /// - Returns: The call, or `nil` if its wait has ended already.
    mutating func expire(_ ticket: Ticket) -> Resumption? {
        guard let departure = remove(ticket) else { return nil }
        return resumption(departure, ticket.endsForDeadline ? .deadline : .waitedTooLong, ticket.priority)
    }

    /// Ends the wait of a call whose caller has left.
    ///
    /// - Returns: `true` if the call was waiting.
    mutating func cancel(_ ticket: Ticket) -> Bool { remove(ticket) != nil }

    private mutating func remove(_ ticket: Ticket) -> FairQueue<Waiter>.Departure? {
        let departure = queues[ticket.priority.rawValue].remove(ticket.place)
        if departure != nil { waiting -= 1 }
        return departure
    }

    // MARK: Rejections

    private mutating func resumption(
        _ departure: FairQueue<Waiter>.Departure,
        _ reason: BulkheadError.Reason,
        _ priority: CallPriority
    ) -> Resumption {
        Resumption(waiter: departure.element, verdict: .rejected(reject(reason, priority)))
    }

    private mutating func reject(_ reason: BulkheadError.Reason, _ priority: CallPriority) -> BulkheadError {
        counters.countRejection(reason, priority)
        return BulkheadError(reason, priority, retryAfter: .nanoseconds(timeUntilRoom))
    }

    /// The estimated time until the waiting calls and one more have begun.
    private var timeUntilRoom: Int64 {
        let longest = configuration.maxWait.saturatingNanoseconds
        let typical = typicalDuration.nanoseconds
        if typical == 0 { return longest }
        let time = typical.saturatingMultiply(Int64(waiting + 1)) / Int64(max(1, limit))
        return max(1_000_000, time)
    }

    // MARK: Reload

    /// Replaces the configuration and keeps the running and the waiting calls.
    ///
    /// The owner calls ``fill(now:_:)`` afterwards.
    mutating func reload(_ new: BulkheadPolicy.Configuration) -> Bool {
        configuration = new
        switch new.limit {
        case .fixed(let count):
            adaptation = nil
            isAdaptive = false
            defer { limit = count }
            return limit != count
        case .adaptive(let settings):
            isAdaptive = true
            if adaptation == nil { adaptation = LimitAdaptation(settings) } else { adaptation?.reload(settings) }
            return applyAdaptation()
        }
    }

    /// The number of waiting calls of each priority, the lowest priority first.
    var waitingByPriority: [Int] { queues.map(\.count) }
}
