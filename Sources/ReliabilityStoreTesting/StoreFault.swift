internal import ReliabilityCore
public import ReliabilityStore
internal import ReliabilityTesting

/// A fault in a call to a ``FaultInjectingStore``.
///
/// The outcome of a read is never unknown. A read throws `unavailable` in place of `unknownOutcome`.
public enum StoreFault: Hashable, Sendable {
    /// The call has no effect and throws a `StoreError` with this reason.
    case reject(StoreError.Reason)
    /// The write is not made. The call throws `unknownOutcome`.
    case unknownOutcomeBeforeApply
    /// The write is made. The call throws `unknownOutcome`.
    case unknownOutcomeAfterApply
    /// The call begins after this delay on the clock of the ``FaultInjectingStore``.
    ///
    /// A call that is cancelled during the delay has no effect and throws `cancelled`.
    case slow(Duration)
    /// The call has no effect and hangs until the task is cancelled. Then the call throws `cancelled`.
    case hang
    /// The write is made. The call hangs until the task is cancelled. Then the call throws `unknownOutcome`.
    case hangAfterApply

    /// The store is unreachable: the call has no effect and throws `unavailable`.
    public static let failBefore = StoreFault.reject(.unavailable)

    /// Returns a function that draws a fault for some of the calls.
    ///
    /// The draw depends only on the seed and on ``StoreCall/index``, so tasks can run in any order.
    ///
    /// ```swift
    /// let store = FaultInjectingStore(InMemoryStore(), faults: StoreFault.random(probability: 0.2, seed: 7))
    /// ```
    ///
    /// - Parameters:
    ///   - probability: The probability that a call fails, from 0 to 1.
    ///   - faults: The faults to draw from with equal probability.
    ///   - seed: The seed.
    /// - Returns: A function for the `faults` parameter of ``FaultInjectingStore``.
    /// - Precondition: `probability` is from 0 to 1. `faults` is not empty.
    public static func random(
        probability: Double,
        of faults: [StoreFault] = [.failBefore, .unknownOutcomeBeforeApply, .unknownOutcomeAfterApply],
        seed: UInt64
    ) -> @Sendable (StoreCall) -> StoreFault? {
        requireValid((0...1).contains(probability), "probability must be from 0 to 1 (is \(probability))")
        requireValid(!faults.isEmpty, "faults must not be empty")
        return { call in
            // One generator for each call: the draw must not depend on the draws of earlier calls.
            var generator = SeededGenerator(seed: seed &+ UInt64(call.index) &* 0xD134_2543_DE82_EF95)
            let isFaulty = Double.random(in: 0..<1, using: &generator) < probability
            return isFaulty ? faults.randomElement(using: &generator) : nil
        }
    }
}
