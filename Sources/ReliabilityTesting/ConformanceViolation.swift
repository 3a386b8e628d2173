/// A store broke a promise.
public struct ConformanceViolation: Error, CustomStringConvertible {
    /// The check that found it.
    public let check: StoreConformance.Check
    /// The seed of the random history in which it was found; nil for a check that draws none.
    public let seed: UInt64?
    /// What the store did, and what it should have done.
    public let explanation: String

    /// The check's name and promise, what the store did, and the call that runs this check alone.
    public var description: String {
        let seed = seed.map { ", seed: \($0)" } ?? ""
        return """
            \(check)
                found: \(explanation)
                alone: try await conformance.run("\(check.id)"\(seed))
            """
    }
}
