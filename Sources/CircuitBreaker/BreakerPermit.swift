internal import ReliabilityCore

/// The right to make one call, whose outcome is reported by hand.
///
/// It is settled exactly once, when its life ends, with the outcome that was reported; a permit on which nothing was
/// reported counts as ignored, so a path that forgets it holds no place in the breaker.
public struct BreakerPermit: ~Copyable, Sendable {
    private let breaker: Breaker
    private let generation: UInt64
    /// Whether the call is a part of a probe that is under way.
    private let isPart: Bool
    private var outcome = Outcome.ignored

    init(_ breaker: Breaker, _ generation: UInt64, isPart: Bool) {
        self.breaker = breaker
        self.generation = generation
        self.isPart = isPart
    }

    deinit { breaker.settle(outcome, generation: generation, isPart: isPart) }

    /// Reports that the dependency did what was asked.
    public consuming func succeed() { outcome = .success }

    /// Reports that the dependency failed, or did not answer in time.
    public consuming func fail() { outcome = .failure }

    /// Reports that the call says nothing about the dependency: it was cancelled, or was never made.
    public consuming func ignore() {}

    consuming func settle(_ outcome: Outcome) { self.outcome = outcome }
}
