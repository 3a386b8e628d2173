/// A store broke a promise.
public struct ConformanceViolation: Error, CustomStringConvertible {
    /// The check that found it.
    public let check: StoreConformance.Check
    /// What the store did, and what it should have done.
    public let explanation: String

    /// The check's name and promise, and what the store did.
    public var description: String { "\(check): \(explanation)" }
}
