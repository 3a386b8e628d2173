/// The calls that arrived at a dependency in the order of their arrival.
///
/// ```swift
/// let bank = ScriptedDependency(clock: ManualClock())
/// try await bank.call(from: "checkout")
/// try bank.history.require(.atMostConcurrent(4), .atMost(10, within: .seconds(1)), .retryAfterIsHonoured)
/// ```
public struct CallHistory: Hashable, Sendable {
    /// The calls in the order of their arrival.
    public let calls: [DependencyCall]

    /// Creates a history.
    ///
    /// - Parameter calls: The calls in the order of their arrival.
    public init(_ calls: [DependencyCall]) { self.calls = calls }

    /// The number of calls.
    public var count: Int { calls.count }

    /// The highest number of calls in progress at the same time.
    public var peakConcurrency: Int { calls.map(\.concurrency).max() ?? 0 }

    /// Returns the number of calls that arrived in a phase of the script.
    ///
    /// - Parameter phase: The zero-based index of the phase.
    /// - Returns: The number of calls.
    public func count(inPhase phase: Int) -> Int { calls.count { $0.phase == phase } }

    /// Returns the calls that arrived in a range of time.
    ///
    /// - Parameter time: The range of time since the beginning of the script.
    /// - Returns: The calls.
    public func calls(in time: Range<Duration>) -> [DependencyCall] { calls.filter { time.contains($0.arrival) } }

    /// Returns the violations of rules.
    ///
    /// - Parameter rules: The rules.
    /// - Returns: A violation for each broken rule. Empty if no rule is broken.
    public func violations(of rules: CallRule...) -> [CallViolation] { rules.compactMap { $0.violation(in: self) } }

    /// Throws an error if a rule is broken.
    ///
    /// - Parameter rules: The rules.
    /// - Throws: The violation of the first broken rule.
    public func require(_ rules: CallRule...) throws(CallViolation) {
        for rule in rules {
            if let violation = rule.violation(in: self) { throw violation }
        }
    }
}
