/// The calls that arrived at a dependency, in the order of their arrival, for a test to judge.
///
/// ```swift
/// try bank.history.require(.atMostConcurrent(4), .atMost(10, within: .seconds(1)), .retryAfterIsHonoured)
/// ```
public struct CallHistory: Hashable, Sendable {
    /// The calls, in the order of their arrival.
    public let calls: [DependencyCall]

    /// Creates a history.
    ///
    /// - Parameter calls: The calls, in the order of their arrival.
    public init(_ calls: [DependencyCall]) { self.calls = calls }

    /// How many calls there were.
    public var count: Int { calls.count }

    /// The most calls that were under way at once.
    public var highestConcurrency: Int { calls.map(\.concurrency).max() ?? 0 }

    /// How many calls arrived in a phase of the script.
    ///
    /// - Parameter phase: Which phase, from 0.
    /// - Returns: The number of calls.
    public func count(inPhase phase: Int) -> Int { calls.count { $0.phase == phase } }

    /// The calls that arrived in a time.
    ///
    /// - Parameter time: From when to when, counted from the beginning of the script.
    /// - Returns: The calls.
    public func calls(in time: Range<Duration>) -> [DependencyCall] { calls.filter { time.contains($0.arrival) } }

    /// What contradicts rules.
    ///
    /// - Parameter rules: The rules.
    /// - Returns: A sentence for each rule that was broken; none when all were kept.
    public func violations(of rules: CallRule...) -> [CallViolation] { rules.compactMap { $0.violation(in: self) } }

    /// Throws when a rule was broken.
    ///
    /// - Parameter rules: The rules.
    /// - Throws: The violation of the first rule that was broken.
    public func require(_ rules: CallRule...) throws(CallViolation) {
        for rule in rules {
            if let violation = rule.violation(in: self) { throw violation }
        }
    }
}

/// A rule about calls was broken.
public struct CallViolation: Error, Hashable, CustomStringConvertible {
    /// The rule, as a sentence.
    public let rule: String
    /// What contradicts it.
    public let found: String

    /// The rule and what contradicts it.
    public var description: String { "\(rule), but \(found)" }
}
