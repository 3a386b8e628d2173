import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("RandomSource")
struct RandomSourceTests {
    /// A generator of constant bits.
    private struct Constant: RandomNumberGenerator {
        let bits: UInt64
        func next() -> UInt64 { bits }
    }

    @Test("a number is between zero and the bound, both included")
    func bounds() {
        for upper in [Int64.max, .max - 1, 1 << 62, 1000, 2, 1, 0, -1, .min] {
            let least = RandomSource(Constant(bits: 0)).next(upTo: upper)
            let most = RandomSource(Constant(bits: .max)).next(upTo: upper)
            #expect(least == 0)
            #expect(most == max(0, upper))
            let random = RandomSource(SeededGenerator(seed: 3))
            for _ in 0..<100 { #expect((0...max(0, upper)).contains(random.next(upTo: upper))) }
        }
    }

    @Test("all numbers are about equally frequent")
    func uniform() {
        let random = RandomSource(SeededGenerator(seed: 5))
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[Int(random.next(upTo: 6))] += 1 }
        #expect(counts.allSatisfy { (9_500...10_500).contains($0) })
    }

    @Test("a seed determines the numbers of concurrent tasks")
    func seeded() async {
        func draw() async -> [Int64] {
            let random = RandomSource(SeededGenerator(seed: 7))
            return await withTaskGroup { group in
                for _ in 0..<100 { group.addTask { random.next(upTo: .max) } }
                return await group.reduce(into: []) { $0.append($1) }.sorted()
            }
        }
        #expect(await draw() == draw())
    }

    @Test("without a generator, no number repeats and each bit is about equally often zero and one")
    func system() {
        let random = RandomSource(SystemRandomNumberGenerator())
        let numbers = (0..<10_000).map { _ in random.next() }
        #expect(Set(numbers).count == 10_000)
        // Ten standard deviations.
        for bit in 0..<64 { #expect((4500...5500).contains(numbers.count { $0 >> UInt64(bit) & 1 == 1 })) }
    }
}
