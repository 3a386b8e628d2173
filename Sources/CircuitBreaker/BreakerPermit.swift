internal import ReliabilityCore

/// The permit for one call.
///
/// The caller reports the outcome of the call through the permit. A permit settles exactly once with the reported
/// outcome at the end of its lifetime. A permit without a report settles as ignored and releases its place in the
/// breaker.
public struct BreakerPermit: ~Copyable, Sendable {
    private let breaker: Breaker
    private let ticket: BreakerTicket
    private var outcome = Outcome.ignored
    private var retryAfter: Duration?

    init(_ breaker: Breaker, _ ticket: BreakerTicket) {
        self.breaker = breaker
        self.ticket = ticket
    }

    deinit { breaker.settle(outcome, ticket, retryAfter: retryAfter) }

    /// Reports that the dependency answered as expected.
    public consuming func succeed() { outcome = .success }

    /// Reports that the dependency failed or did not answer in time.
    public consuming func fail() { outcome = .failure }

    /// Reports that the dependency failed and asked for no calls for a time.
    ///
    /// - Parameter retryAfter: The time that the dependency asked for. The breaker opens for this time and at most for
    ///   ``Breaker/Configuration/maxRetryAfter``. Without that field, the call is an ordinary failure.
    public consuming func fail(retryAfter: Duration) {
        outcome = .failure
        self.retryAfter = retryAfter
    }

    /// Reports that the call is no evidence about the dependency because the call was cancelled or never made.
    public consuming func ignore() {}
}
