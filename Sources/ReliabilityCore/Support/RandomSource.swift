/// A random number generator that policies can share.
package struct RandomSource: Sendable {
    private let draw: @Sendable () -> UInt64

    /// Wraps a generator.
    ///
    /// `SystemRandomNumberGenerator` becomes an ``AmbientGenerator``.
    package init<Generator: RandomNumberGenerator & Sendable>(_ generator: Generator) {
        if generator is SystemRandomNumberGenerator {
            draw = {
                var ambient = AmbientGenerator()
                return ambient.next()
            }
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

/// The random numbers of the system or of the current task's simulation.
///
/// Every random number of the library comes from this generator unless the user passes another generator. The seed of a
/// simulation therefore determines all random numbers.
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
