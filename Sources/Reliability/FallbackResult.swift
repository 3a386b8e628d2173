/// A value, and whether it is the call's own.
public struct FallbackResult<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value
    /// The name of the answer that took the place of the call; nil when the value is the call's own.
    public let answer: String?
    /// What the call threw; nil when the value is the call's own.
    public let error: (any Error)?

    /// Whether the value is not the call's own.
    public var isFallback: Bool { answer != nil }
}
