/// The decision of a limiter about a call.
public struct LimiterDecision: Hashable, Sendable {
    /// A Boolean value that indicates whether the call is allowed.
    public let isAllowed: Bool

    /// A Boolean value that indicates whether the call was allowed without being counted, because the store was down.
    public let failedOpen: Bool

    /// A Boolean value that indicates whether the share of this process decided about the call, because the store was
    /// down.
    public let isLocal: Bool

    /// The most calls that can be allowed at the same time: the configuration's ``Limiter/Configuration/capacity``, or
    /// the capacity of the share if ``isLocal`` is `true`.
    public let limit: Int

    /// The period of the limit: the configuration's ``Limiter/Configuration/period``.
    public let period: Duration

    /// The number of calls that would be allowed now, or zero if ``failedOpen`` is `true`.
    public let remaining: Int

    /// The time until the same call would be allowed, or `nil` if the call is allowed.
    ///
    /// Other calls with the same key can use the limit first.
    public let retryAfter: Duration?

    /// The time until the whole limit is available again without further calls, or zero if ``failedOpen`` is `true`.
    public let resetAfter: Duration
}
