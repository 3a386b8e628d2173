/// A random number generator behind a lock, so that a policy can draw from one that a test has seeded.
package struct RandomSource: Sendable {
    private let draw: @Sendable () -> UInt64

    /// Wraps a generator; the system's becomes an ``AmbientGenerator``.
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

    /// The next 64 bits.
    package func next() -> UInt64 { draw() }

    /// A number in `0...upper`; zero when `upper` is negative.
    package func next(upTo upper: Int64) -> Int64 {
        if upper <= 0 { return 0 }
        // Multiply and take the high half: unbiased to one part in 2^64 / upper, and it cannot loop.
        return Int64(draw().multipliedFullWidth(by: UInt64(upper) + 1).high)
    }
}

/// The system's random numbers, or those of the simulation in which the current task runs.
///
/// All of the library's chance comes from here unless the user passes a generator, so that the seed of a simulation
/// determines it.
package struct AmbientGenerator: RandomNumberGenerator, Sendable {
    /// The numbers of the simulation in which the current task runs, or `nil` outside of one.
    @TaskLocal package static var simulated: RandomSource?

    private let simulated = AmbientGenerator.simulated

    /// Creates a generator for the current task.
    package init() {}

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        if let simulated { return simulated.next() }
        var system = SystemRandomNumberGenerator()
        return system.next()
    }
}
