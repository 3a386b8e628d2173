/// What a limiter decided about a call.
public struct RateDecision: Hashable, Sendable {
    /// Whether the call is allowed.
    public let isAllowed: Bool

    /// Whether the store was down, so that the call was allowed without having been counted.
    public let isUncounted: Bool

    /// The most that can be allowed at once; the limit's ``RateLimit/capacity``.
    public let limit: Int

    /// How much more would be allowed now.
    ///
    /// Zero when the call was not counted: nobody knows.
    public let remaining: Int

    /// How long until the same call would be allowed; nil when it is allowed.
    ///
    /// Others who use the same key may be faster.
    public let retryAfter: Duration?

    /// How long until the whole limit is there again, if nothing is asked until then.
    ///
    /// Zero when the call was not counted.
    public let resetAfter: Duration
}
