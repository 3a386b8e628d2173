extension ReliabilityError {
    /// The error's code and those of the errors that caused it, the outermost first.
    ///
    /// A call that was tried twice and then met an open circuit breaker has `retry.rejected` and `circuit_breaker.open`. At
    /// most 8 codes are returned.
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

extension CallRecord {
    /// The codes of what the call threw and of its causes, the outermost first; empty when it returned, or threw an error
    /// that has none.
    ///
    /// A dashboard that counts by the last of the codes shows what happened, not who gave up because of it.
    public var codes: [ErrorCode] { (error as? any ReliabilityError)?.codes ?? [] }
}
