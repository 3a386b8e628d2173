/// A random number generator behind a lock, so that a policy can draw from one that a test has seeded.
package struct RandomSource: Sendable {
    private let draw: @Sendable () -> UInt64

    /// Wraps a generator.
    package init<Generator: RandomNumberGenerator & Sendable>(_ generator: Generator) {
        if generator is SystemRandomNumberGenerator {
            draw = {
                var system = SystemRandomNumberGenerator()
                return system.next()
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

    /// A number in `0...upper`; zero when `upper` is negative.
    package func next(upTo upper: Int64) -> Int64 {
        if upper <= 0 { return 0 }
        // Multiply and take the high half: unbiased to one part in 2^64 / upper, and it cannot loop.
        return Int64(draw().multipliedFullWidth(by: UInt64(upper) + 1).high)
    }
}
