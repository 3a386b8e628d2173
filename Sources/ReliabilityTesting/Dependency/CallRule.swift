/// A rule about the calls that arrive at a dependency.
public struct CallRule: Sendable {
    /// The rule as a sentence.
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
    ///   - description: The rule as a sentence without a full stop.
    ///   - check: Returns the calls that contradict the rule, as the end of a sentence, or `nil` if the rule holds.
    public init(_ description: String, check: @escaping @Sendable (CallHistory) -> String?) {
        self.description = description
        self.check = check
    }

    func violation(in history: CallHistory) -> CallViolation? {
        check(history).map { CallViolation(rule: description, found: $0) }
    }

    /// Returns a rule that limits the number of simultaneous calls.
    ///
    /// - Parameter limit: The maximum number of calls in progress at the same time.
    /// - Returns: The rule.
    public static func atMostConcurrent(_ limit: Int) -> CallRule {
        CallRule("at most \(limit) calls run at the same time") { history in
            guard let call = history.calls.first(where: { $0.concurrency > limit }) else { return nil }
            return "\(call.concurrency) ran when call \(call.index) arrived at \(call.arrival)"
        }
    }

    /// Returns a rule that limits the number of arrivals in every window of time.
    ///
    /// - Parameters:
    ///   - limit: The maximum number of arrivals in a window.
    ///   - window: The length of a window. A call exactly this much later than another call is outside the other call's
    ///     window.
    /// - Returns: The rule.
    public static func atMost(_ limit: Int, within window: Duration) -> CallRule {
        CallRule("at most \(limit) calls arrive within \(window)") { history in
            var calls = history.calls[...]
            while let first = calls.first {
                let inWindow = calls.prefix { $0.arrival - first.arrival < window }
                if inWindow.count > limit {
                    return "\(inWindow.count) arrived, from call \(first.index) at \(first.arrival)"
                }
                calls.removeFirst()
            }
            return nil
        }
    }

    /// Returns a rule that allows no arrival in a range of time, such as while a circuit breaker is open.
    ///
    /// - Parameter time: The range of time since the beginning of the script.
    /// - Returns: The rule.
    public static func none(in time: Range<Duration>) -> CallRule {
        CallRule("no call arrives from \(time.lowerBound) to \(time.upperBound)") { history in
            history.calls(in: time).first.map { "call \($0.index) arrived at \($0.arrival)" }
        }
    }

    /// A rule that no caller returns before its `retryAfter` has elapsed.
    ///
    /// The time counts from the end of the throttled call. Callers are distinguished by name.
    public static let retryAfterIsHonoured = CallRule("no caller returns before its retryAfter has elapsed") {
        history in
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
