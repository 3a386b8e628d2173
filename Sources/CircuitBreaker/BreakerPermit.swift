internal import ReliabilityCore

/// The permit for one call.
///
/// The caller reports the outcome of the call through the permit. A permit settles exactly once with the reported
/// outcome at the end of its lifetime. A permit without a report settles as ignored and releases its place in the
/// breaker.
public struct BreakerPermit: ~Copyable, Sendable {
    private let breaker: Breaker
    private let generation: UInt64
    /// A Boolean value that indicates whether the call is part of a running probe.
    private let isPart: Bool
    private var outcome = Outcome.ignored

    init(_ breaker: Breaker, _ generation: UInt64, isPart: Bool) {
        self.breaker = breaker
        self.generation = generation
        self.isPart = isPart
    }

    deinit { breaker.settle(outcome, generation: generation, isPart: isPart) }

    /// Reports that the dependency answered as expected.
    public consuming func succeed() { outcome = .success }

    /// Reports that the dependency failed or did not answer in time.
    public consuming func fail() { outcome = .failure }

    /// Reports that the call is no evidence about the dependency because the call was cancelled or never made.
    public consuming func ignore() {}
}
