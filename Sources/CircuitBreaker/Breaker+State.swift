extension Breaker {
    /// The state of a circuit breaker.
    @nonexhaustive
    public enum State: Hashable, Sendable {
        /// The breaker admits every call.
        case closed
        /// The breaker rejects every call for the remaining time. At zero, the next call is a probe.
        case open(remaining: Duration)
        /// The breaker admits a few calls as probes.
        case halfOpen
        /// The breaker has closed and admits a share of the calls, which grows to 1.
        case ramping(admittedShare: Double)
        /// A handle of ``Breaker/forceOpen()`` keeps the breaker open.
        case forcedOpen
        /// A handle of ``Breaker/forceClosed()`` keeps the breaker closed.
        case forcedClosed

        /// A Boolean value that indicates whether the breaker is open, for any remaining time or forced.
        public var isOpen: Bool {
            switch self {
            case .open, .forcedOpen: true
            default: false
            }
        }
    }
}
