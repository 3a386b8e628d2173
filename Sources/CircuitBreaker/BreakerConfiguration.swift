internal import ReliabilityCore

/// When a circuit breaker opens, for how long, and how it finds out that the dependency is well again.
public struct BreakerConfiguration: Hashable, Sendable {
    /// When a closed breaker opens.
    public let trip: BreakerTrip

    /// How long an open breaker refuses every call.
    public let openFor: Duration

    /// How many calls a half-open breaker admits, and how many of them must succeed to close it: all.
    public let probes: Int

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - trip: When a closed breaker opens.
    ///   - openFor: How long an open breaker refuses every call.
    ///   - probes: How many calls must succeed to close a half-open breaker; no more than these are admitted.
    /// - Precondition: `openFor` is positive and `probes` is at least 1.
    public init(trip: BreakerTrip, openFor: Duration = .seconds(30), probes: Int = 1) {
        precondition(openFor > .zero, "openFor must be positive (is \(openFor))")
        precondition(probes >= 1, "probes must be at least 1 (is \(probes))")
        self.trip = trip
        self.openFor = openFor
        self.probes = probes
    }
}

extension BreakerConfiguration {
    /// The figures in a phrase.
    var summary: String {
        let probing = probes == 1 ? "one probe" : "\(probes) probes"
        return "opens after \(trip.rule.summary), for \(openFor.text), then \(probing)"
    }
}
