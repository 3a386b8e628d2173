internal import Synchronization

/// A random number generator that policies can share.
package struct RandomSource: Sendable {
    private let draw: @Sendable () -> UInt64

    /// Wraps a generator.
    ///
    /// `SystemRandomNumberGenerator` stands for the numbers of the current task's simulation, or for numbers that begin
    /// at a random number of the system. These numbers are no secret: who knows some of them can compute the others. A
    /// number of the system itself would need a call of the kernel.
    package init<Generator: RandomNumberGenerator & Sendable>(_ generator: Generator) {
        if generator is SystemRandomNumberGenerator {
            draw = { AmbientGenerator.simulated?.next() ?? SequenceGenerator.next() }
        } else {
            let shared = Shared(generator)
            draw = { shared.generator.withLock { $0.next() } }
        }
    }

    private final class Shared<Generator: RandomNumberGenerator & Sendable>: Sendable {
        let generator: Lock<Generator>
        init(_ generator: Generator) { self.generator = Lock(generator) }
    }

    /// Returns the next 64 random bits.
    package func next() -> UInt64 { draw() }

    /// Returns a random number in `0...upper`, or zero if `upper` is negative.
    package func next(upTo upper: Int64) -> Int64 {
        if upper <= 0 { return 0 }
        // The high half of the product has a bias below upper / 2^64 and needs no loop.
        return Int64(draw().multipliedFullWidth(by: UInt64(upper) + 1).high)
    }
}

/// The random numbers of the process, without a lock.
///
/// The sequence is SplitMix64. See Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
private enum SequenceGenerator {
    private static let state = Atomic(UInt64.random(in: 0...UInt64.max))

    static func next() -> UInt64 {
        var bits = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

/// The random numbers of the system or of the current task's simulation.
///
/// Identities come from this generator, and all other random numbers from ``RandomSource``. The seed of a simulation
/// therefore determines all random numbers.
package struct AmbientGenerator: RandomNumberGenerator, Sendable {
    /// The random numbers of the current task's simulation, or `nil` outside of a simulation.
    @TaskLocal package static var simulated: RandomSource?

    private let simulated = AmbientGenerator.simulated

    /// Creates a generator for the current task.
    package init() {}

    /// Returns the next 64 random bits.
    package mutating func next() -> UInt64 {
        if let simulated { return simulated.next() }
        var system = SystemRandomNumberGenerator()
        return system.next()
    }
}
