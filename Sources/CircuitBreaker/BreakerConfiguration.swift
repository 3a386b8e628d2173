internal import ReliabilityCore

/// When a circuit breaker opens, for how long, and how it finds out that the dependency is well again.
///
/// The figures are plain values, which can come from a file: ``problems()`` says what is wrong with them. A ``Breaker``
/// takes a configuration without problems only.
public struct BreakerConfiguration: Hashable, Sendable {
    /// When a closed breaker opens.
    public var trip: BreakerTrip

    /// How long an open breaker rejects every call.
    public var openFor: Duration

    /// How many calls a half-open breaker admits, and how many of them must succeed to close it: all.
    public var probes: Int

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - trip: When a closed breaker opens. Defaults to ``BreakerTrip/standard``.
    ///   - openFor: How long an open breaker rejects every call; positive. Defaults to 30 seconds.
    ///   - probes: How many calls must succeed to close a half-open breaker, at least 1; no more than these are admitted.
    ///     Defaults to 1.
    public init(trip: BreakerTrip = .standard, openFor: Duration = .seconds(30), probes: Int = 1) {
        self.trip = trip
        self.openFor = openFor
        self.probes = probes
    }

    /// What is wrong with the figures, a sentence each; empty when they can be used.
    ///
    /// - Returns: All problems, each with the figure.
    public func problems() -> [String] {
        var problems = trip.problems()
        if openFor <= .zero { problems.append("openFor must be positive (is \(openFor))") }
        if probes < 1 { problems.append("probes must be at least 1 (is \(probes))") }
        return problems
    }

    /// Ends the process if the figures cannot be used.
    func requireNoProblems() {
        let problems = problems()
        requireValid(problems.isEmpty, "the circuit breaker cannot work: \(problems.joined(separator: "; "))")
    }
}

extension BreakerConfiguration {
    /// The figures in a phrase.
    var summary: String {
        let probing = probes == 1 ? "one probe" : "\(probes) probes"
        return "opens after \(trip.summary), for \(openFor.text), then \(probing)"
    }
}
