public import ReliabilityCore

extension Breaker {
    /// The configuration of a ``Breaker``.
    ///
    /// The fields are plain values that can come from a file. ``validate()`` reports every problem.
    public struct Configuration: Hashable, Sendable {
        /// The condition that opens a closed breaker.
        public var tripCondition: TripCondition

        /// The positive time for which an open breaker rejects every call.
        public var openDuration: Duration

        /// The number of calls that a half-open breaker admits as probes.
        ///
        /// The breaker closes after this number of successful probes. Must be at least 1.
        public var probes: Int

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - tripCondition: The condition that opens a closed breaker. Defaults to ``TripCondition/standard``.
        ///   - openDuration: The time for which an open breaker rejects every call. Defaults to 30 seconds.
        ///   - probes: The number of probes that must succeed to close the breaker. Defaults to 1.
        public init(
            tripCondition: TripCondition = .standard,
            openDuration: Duration = .seconds(30),
            probes: Int = 1
        ) {
            self.tripCondition = tripCondition
            self.openDuration = openDuration
            self.probes = probes
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("circuit breaker")
            problems.require("tripCondition", tripCondition.validate)
            problems.require(openDuration > .zero, "openDuration must be positive (is \(openDuration))")
            problems.require(probes >= 1, "probes must be at least 1 (is \(probes))")
            try problems.throwIfAny()
        }
    }
}

// Each of these configurations keeps the breaker open for 30 seconds and closes it after one successful probe.
extension Breaker.Configuration {
    /// The condition ``TripCondition/standard`` with 30 seconds open and one probe.
    public static let standard = Breaker.Configuration()

    /// The condition ``TripCondition/consecutiveFailures(_:lasting:)`` with 30 seconds open and one probe.
    public static func consecutiveFailures(_ count: Int, lasting duration: Duration = .zero) -> Self {
        Self(tripCondition: .consecutiveFailures(count, lasting: duration))
    }

    /// The condition ``TripCondition/failures(_:within:)`` with 30 seconds open and one probe.
    public static func failures(_ count: Int, within window: Duration) -> Self {
        Self(tripCondition: .failures(count, within: window))
    }

    /// The condition ``TripCondition/failureRate(_:minCalls:within:)`` with 30 seconds open and one probe.
    public static func failureRate(_ rate: Double, minCalls: Int, within window: Duration) -> Self {
        Self(tripCondition: .failureRate(rate, minCalls: minCalls, within: window))
    }
}

extension Breaker.Configuration {
    /// A short description of the values.
    var summary: String {
        let probing = probes == 1 ? "one probe" : "\(probes) probes"
        return "opens after \(tripCondition.summary), for \(openDuration.text), then \(probing)"
    }
}
