/// A report that a store broke a promise.
public struct ConformanceViolation: Error, CustomStringConvertible {
    /// The check that found the violation.
    public let check: StoreConformance.Check
    /// The seed of the failing random history, or `nil` if the check draws no history.
    public let seed: UInt64?
    /// The observed behavior of the store and the expected behavior.
    public let explanation: String

    /// The check's name and promise, the explanation, and the call that repeats this check alone.
    public var description: String {
        let seed = seed.map { ", seed: \($0)" } ?? ""
        return """
            \(check)
                found: \(explanation)
                alone: try await conformance.run("\(check.id)"\(seed))
            """
    }
}
