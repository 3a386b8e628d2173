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

        /// The factor by which the open time grows each time that the breaker opens again before it has recovered.
        ///
        /// The breaker has recovered when it closes and its ramp has ended. From 1 to 100.
        public var openDurationFactor: Double

        /// The longest open time without jitter, or `nil` for ten times ``openDuration``.
        ///
        /// At least ``openDuration``.
        public var maxOpenDuration: Duration?

        /// The share by which a random part lengthens each open time, from 0 to 1.
        ///
        /// Processes that lose a dependency at the same time do not all probe the dependency at the same time.
        public var jitter: Double

        /// The longest time for which the `retryAfter` of an error opens the breaker, or `nil` to ignore the value.
        ///
        /// An error of the categories `unavailable` and `rateLimited` that the dependency answered opens the breaker
        /// for its `retryAfter`, regardless of the trip condition. Must be positive.
        public var maxRetryAfter: Duration?

        /// The number of probes that decide whether the breaker closes.
        ///
        /// The breaker closes as soon as at most ``toleratedProbeFailures`` of this number of probes can fail. Must be
        /// at least 1.
        public var probes: Int

        /// The largest number of simultaneous probes, or `nil` for ``probes`` and at most 1,000.
        ///
        /// From 1 to 1,000.
        public var maxConcurrentProbes: Int?

        /// The number of failed probes that the breaker tolerates.
        ///
        /// One more failed probe opens the breaker. At least 0 and less than ``probes``.
        public var toleratedProbeFailures: Int

        /// The positive time in which a probe must end, or `nil` for ``openDuration``.
        ///
        /// A probe that does not end in time loses its place to another call. Its later result changes nothing. The
        /// time doubles for later probes until the breaker opens or closes.
        public var probeLease: Duration?

        /// The time after the successful probes in which the share of admitted calls grows to all calls.
        ///
        /// Must not be negative. At zero, a closed breaker admits every call immediately.
        public var rampDuration: Duration

        /// The share of calls that the breaker admits at the beginning of the ramp.
        ///
        /// Above 0 and at most 1.
        public var rampStart: Double

        /// A Boolean value that indicates whether the breaker only reports its decisions and rejects no call.
        ///
        /// The outcome of a call that the breaker would have rejected does not count. A handle of
        /// ``Breaker/forceOpen()`` rejects calls nevertheless.
        public var isDryRun: Bool

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - tripCondition: The condition that opens a closed breaker. Defaults to ``TripCondition/standard``.
        ///   - openDuration: The time for which an open breaker rejects every call. Defaults to 30 seconds.
        ///   - openDurationFactor: The growth of the open time. Defaults to 1.
        ///   - maxOpenDuration: The longest open time. Defaults to ten times `openDuration`.
        ///   - jitter: The share by which a random part lengthens the open time. Defaults to 0.
        ///   - maxRetryAfter: The longest time for which an error's `retryAfter` opens the breaker. Defaults to `nil`.
        ///   - probes: The number of probes that decide. Defaults to 1.
        ///   - maxConcurrentProbes: The largest number of simultaneous probes. Defaults to `probes`.
        ///   - toleratedProbeFailures: The number of tolerated failures among the probes. Defaults to 0.
        ///   - probeLease: The time in which a probe must end. Defaults to `openDuration`.
        ///   - rampDuration: The time in which the share of admitted calls grows. Defaults to zero.
        ///   - rampStart: The share of admitted calls at the beginning. Defaults to 0.1.
        ///   - isDryRun: Whether the breaker rejects no call. Defaults to `false`.
        public init(
            tripCondition: TripCondition = .standard,
            openDuration: Duration = .seconds(30),
            openDurationFactor: Double = 1,
            maxOpenDuration: Duration? = nil,
            jitter: Double = 0,
            maxRetryAfter: Duration? = nil,
            probes: Int = 1,
            maxConcurrentProbes: Int? = nil,
            toleratedProbeFailures: Int = 0,
            probeLease: Duration? = nil,
            rampDuration: Duration = .zero,
            rampStart: Double = 0.1,
            isDryRun: Bool = false
        ) {
            self.tripCondition = tripCondition
            self.openDuration = openDuration
            self.openDurationFactor = openDurationFactor
            self.maxOpenDuration = maxOpenDuration
            self.jitter = jitter
            self.maxRetryAfter = maxRetryAfter
            self.probes = probes
            self.maxConcurrentProbes = maxConcurrentProbes
            self.toleratedProbeFailures = toleratedProbeFailures
            self.probeLease = probeLease
            self.rampDuration = rampDuration
            self.rampStart = rampStart
            self.isDryRun = isDryRun
        }
    }
}

extension Breaker.Configuration {
    /// Checks every field.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("circuit breaker")
        problems.require("tripCondition", tripCondition.validate)
        problems.require(openDuration > .zero, "openDuration must be positive (is \(openDuration))")
        problems.require(
            (1...100).contains(openDurationFactor),
            "openDurationFactor must be from 1 to 100 (is \(openDurationFactor))"
        )
        if let maxOpenDuration {
            problems.require(
                maxOpenDuration >= openDuration,
                "maxOpenDuration must be at least openDuration (is \(maxOpenDuration))"
            )
        }
        problems.require((0...1).contains(jitter), "jitter must be from 0 to 1 (is \(jitter))")
        if let maxRetryAfter {
            problems.require(maxRetryAfter > .zero, "maxRetryAfter must be positive (is \(maxRetryAfter))")
        }
        problems.require(probes >= 1, "probes must be at least 1 (is \(probes))")
        if let maxConcurrentProbes {
            problems.require(
                (1...1000).contains(maxConcurrentProbes),
                "maxConcurrentProbes must be from 1 to 1,000 (is \(maxConcurrentProbes))"
            )
        }
        problems.require(
            toleratedProbeFailures == 0 || (1..<max(probes, 1)).contains(toleratedProbeFailures),
            "toleratedProbeFailures must be at least 0 and less than probes (is \(toleratedProbeFailures))"
        )
        if let probeLease {
            problems.require(probeLease > .zero, "probeLease must be positive (is \(probeLease))")
        }
        problems.require(rampDuration >= .zero, "rampDuration must not be negative (is \(rampDuration))")
        problems.require(
            rampStart > 0 && rampStart <= 1,
            "rampStart must be above 0 and at most 1 (is \(rampStart))"
        )
        try problems.throwIfAny()
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
    /// The largest number of simultaneous probes.
    var concurrentProbes: Int { maxConcurrentProbes ?? min(probes, 1000) }

    /// The time in nanoseconds in which a probe must end.
    var lease: Int64 { (probeLease ?? openDuration).saturatingNanoseconds }

    /// Returns the open time in nanoseconds without jitter, grown by a factor.
    func openLength(growth: Double) -> Int64 {
        let first = openDuration.saturatingNanoseconds
        let longest = maxOpenDuration?.saturatingNanoseconds ?? first.saturatingMultiply(10)
        let grown = Double(first) * growth
        return grown < Double(longest) ? max(first, Int64(grown)) : longest
    }

    /// Returns a time in nanoseconds with the longest jitter.
    func lengthened(_ length: Int64) -> Int64 {
        let part = Double(length) * jitter
        return length.saturatingAdd(part < Double(Int64.max) ? Int64(part) : .max)
    }

    /// A short description of the values.
    var summary: String {
        var text = "opens after \(tripCondition.summary), for \(openDuration.text)"
        if openDurationFactor > 1 { text += " to \(Duration.nanoseconds(openLength(growth: .infinity)).text)" }
        text += probes == 1 ? ", then one probe" : ", then \(probes) probes"
        if toleratedProbeFailures > 0 { text += " of which \(toleratedProbeFailures) may fail" }
        if rampDuration > .zero { text += ", then a ramp of \(rampDuration.text)" }
        return isDryRun ? "dry run: " + text : text
    }
}
