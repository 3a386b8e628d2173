/// The value of a call or of its fallback.
public struct FallbackResult<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value
    /// The name of the answer that gave the value, or `nil` if the call returned the value.
    public let answer: String?
    /// The error of the call, or `nil` if the call returned the value.
    public let error: (any Error)?

    /// A Boolean value that indicates whether an answer gave the value.
    public var isFallback: Bool { answer != nil }
}
