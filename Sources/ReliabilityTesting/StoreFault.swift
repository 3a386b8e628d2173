internal import ReliabilityCore
public import ReliabilityStore

/// What goes wrong with one call to a ``FaultInjectingStore``.
///
/// A read cannot leave an outcome unknown: there, the two such faults make it `unavailable`.
public enum StoreFault: Hashable, Sendable {
    /// Nothing is done, and the call throws a `StoreError` of this reason.
    case refuse(StoreError.Reason)
    /// The write is not made, and the call throws `unknownOutcome`.
    case unknownOutcomeBeforeApply
    /// The write is made, and the call throws `unknownOutcome`.
    case unknownOutcomeAfterApply
    /// The call begins this much later, by the fault store's clock; it does nothing if it is cancelled before.
    case slow(Duration)
    /// Nothing is done, and the call does not answer before it is cancelled.
    case hang
    /// The write is made, and the call does not answer before it is cancelled.
    case hangAfterApply

    /// The store cannot be reached: nothing is done, and the call throws `unavailable`.
    public static let failBefore = StoreFault.refuse(.unavailable)

    /// Draws a fault for some of the calls, the same for the same seed whatever the order in which tasks run.
    ///
    /// ```swift
    /// let store = FaultInjectingStore(InMemoryStore(), faults: StoreFault.random(probability: 0.2, seed: 7))
    /// ```
    ///
    /// - Parameters:
    ///   - probability: How many of the calls fail, from 0 to 1.
    ///   - faults: The faults to draw from, all equally often.
    ///   - seed: Decides which.
    /// - Returns: What a ``FaultInjectingStore`` takes as its `faults`.
    /// - Precondition: `probability` is from 0 to 1, and `faults` is not empty.
    public static func random(
        probability: Double,
        of faults: [StoreFault] = [.failBefore, .unknownOutcomeBeforeApply, .unknownOutcomeAfterApply],
        seed: UInt64
    ) -> @Sendable (StoreCall) -> StoreFault? {
        requireValid((0...1).contains(probability), "a probability is from 0 to 1 (is \(probability))")
        requireValid(!faults.isEmpty, "there must be a fault to draw")
        return { call in
            // A generator for each call, so that what a call draws does not depend on who drew before it.
            var generator = SeededGenerator(seed: seed &+ UInt64(call.index) &* 0xD134_2543_DE82_EF95)
            let isFaulty = Double.random(in: 0..<1, using: &generator) < probability
            return isFaulty ? faults.randomElement(using: &generator) : nil
        }
    }
}
