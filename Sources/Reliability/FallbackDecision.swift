internal import ReliabilityCore

/// The decision of a ``Fallback`` about an error.
@nonexhaustive
public enum FallbackDecision: Hashable, Sendable {
    /// The first answer with a value replaces the error.
    case answer
    /// The error is thrown.
    case rethrow

    /// Returns the default decision about an error.
    ///
    /// A fault of the request (`ErrorCategory.isRequestFault`) is thrown, because any other source would reject the
    /// same request. A fallback answers in place of every other error.
    ///
    /// - Parameter error: The error of the call.
    /// - Returns: The decision.
    public static func standard(for error: any Error) -> FallbackDecision {
        error.reliability?.category.isRequestFault == true ? .rethrow : .answer
    }
}
