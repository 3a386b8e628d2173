extension Breaker {
    /// The state and the counters of a ``Breaker`` at one time.
    public struct Snapshot: Hashable, Sendable {
        /// The numbers of calls that a rate counts.
        public struct Counts: Hashable, Sendable {
            /// The number of calls in the window.
            public let calls: Int
            /// The number of calls in the window that meet the condition of the rate.
            public let hits: Int
        }

        /// The state.
        public let state: State
        /// The number of the current generation, see ``BreakerEvent``.
        public let generation: UInt64
        /// The number of failures since the last success, or `nil` if no rule counts consecutive failures.
        public let consecutiveFailures: Int?
        /// The number of failures in the window, or `nil` if no rule counts failures.
        ///
        /// The breaker records at most as many failures as open the breaker.
        public let failures: Int?
        /// The calls and the failed calls of the failure rate, or `nil` if there is no such rule.
        public let failureRate: Counts?
        /// The ended calls and the slow calls of the slow-call rate, or `nil` if there is no such rule.
        public let slowCallRate: Counts?
        /// The ended calls and the slow or failed calls of the rate of both, or `nil` if there is no such rule.
        public let slowOrFailedRate: Counts?
        /// The number of running calls that are slow, or `nil` if no rule counts slow calls.
        ///
        /// These calls count in addition to the calls of the windows.
        public let runningSlowCalls: Int?
        /// The number of running probes, including probes that will lose their places at the next call.
        public let runningProbes: Int
        /// The number of successful probes since the breaker is half-open.
        public let successfulProbes: Int
        /// The number of failed probes since the breaker is half-open.
        public let failedProbes: Int
        /// The number of rejected calls since the creation of the breaker.
        ///
        /// The calls that a dry run would have rejected count as rejected.
        public let rejectedCalls: UInt64
        /// The number of unreleased handles of ``Breaker/forceOpen()``.
        public let forcedOpenCount: Int
        /// The number of unreleased handles of ``Breaker/forceClosed()``.
        public let forcedClosedCount: Int
        /// A Boolean value that indicates whether the breaker rejects no call.
        public let isDryRun: Bool
    }

    /// The current state and counters.
    ///
    /// Reading the property changes nothing. An open breaker whose time has elapsed is open with no remaining time.
    public var snapshot: Snapshot { read { state, now in state.snapshot(now: now) } }
}
