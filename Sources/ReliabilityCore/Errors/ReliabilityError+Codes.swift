extension ReliabilityError {
    /// The codes of the error and of its causes, the outermost first.
    ///
    /// A call that was attempted twice and then rejected by an open circuit breaker has the codes `retry.rejected` and
    /// `circuit_breaker.open`. The array has at most 8 codes.
    public var codes: [ErrorCode] {
        var codes = [code]
        var cause = underlyingError
        while codes.count < 8, let known = cause as? any ReliabilityError {
            codes.append(known.code)
            cause = known.underlyingError
        }
        return codes
    }
}

extension CallReport {
    /// The codes of the call's error and of the error's causes, the outermost first.
    ///
    /// The array is empty if the call returned a value or threw an error without a code. The last code is the cause of
    /// the failure and is the code to count on a dashboard.
    public var codes: [ErrorCode] { error?.reliability?.codes ?? [] }
}
