/// A violation of a rule about calls.
public struct CallViolation: Error, Hashable, CustomStringConvertible {
    /// The rule as a sentence.
    public let rule: String
    /// The calls that contradict the rule.
    public let found: String

    /// The rule and the calls that contradict the rule.
    public var description: String { "\(rule), but \(found)" }
}
