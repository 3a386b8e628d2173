/// What must hold for the calls that arrive at a dependency.
public struct CallRule: Sendable {
    /// The rule, as a sentence.
    public let description: String
    private let check: @Sendable (CallHistory) -> String?

    /// Creates a rule.
    ///
    /// ```swift
    /// let noTimeouts = CallRule("no call is cancelled") { history in
    ///     history.calls.first { $0.outcome == .cancelled }.map { "call \($0.index) was" }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - description: The rule, as a sentence without a full stop.
    ///   - check: Says what contradicts it; nil for nothing.
    public init(_ description: String, check: @escaping @Sendable (CallHistory) -> String?) {
        self.description = description
        self.check = check
    }

    func violation(in history: CallHistory) -> CallViolation? {
        check(history).map { CallViolation(rule: description, found: $0) }
    }

    /// There are never more than so many calls under way at once.
    ///
    /// - Parameter limit: How many.
    /// - Returns: The rule.
    public static func atMostConcurrent(_ limit: Int) -> CallRule {
        CallRule("at most \(limit) calls are under way at once") { history in
            guard let call = history.calls.first(where: { $0.concurrency > limit }) else { return nil }
            return "\(call.concurrency) were when call \(call.index) arrived at \(call.arrival)"
        }
    }

    /// No stretch of time of this length sees more than so many calls arrive.
    ///
    /// - Parameters:
    ///   - limit: How many.
    ///   - window: The length; a call exactly this much later than another is outside its window.
    /// - Returns: The rule.
    public static func atMost(_ limit: Int, within window: Duration) -> CallRule {
        CallRule("at most \(limit) calls arrive within \(window)") { history in
            var calls = history.calls[...]
            while let first = calls.first {
                let inWindow = calls.prefix { $0.arrival - first.arrival < window }
                if inWindow.count > limit {
                    return "\(inWindow.count) did from call \(first.index) at \(first.arrival) on"
                }
                calls.removeFirst()
            }
            return nil
        }
    }

    /// No call arrives in a time, such as that in which a circuit breaker is open.
    ///
    /// - Parameter time: From when to when, counted from the beginning of the script.
    /// - Returns: The rule.
    public static func none(in time: Range<Duration>) -> CallRule {
        CallRule("no call arrives from \(time.lowerBound) to \(time.upperBound)") { history in
            history.calls(in: time).first.map { "call \($0.index) did at \($0.arrival)" }
        }
    }

    /// Who was asked to come later makes no call sooner, each caller by its name.
    public static let retryAfterIsHonoured = CallRule("no caller comes sooner than it was asked to") { history in
        for (position, call) in history.calls.enumerated() {
            guard case .throttled(let retryAfter?) = call.outcome, let end = call.end else { continue }
            let later = history.calls[(position + 1)...].prefix { $0.arrival < end + retryAfter }
            if let early = later.first(where: { $0.caller == call.caller && $0.arrival >= end }) {
                return "call \(early.index) arrived at \(early.arrival), not at \(end + retryAfter) or later"
            }
        }
        return nil
    }
}
