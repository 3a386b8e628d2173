import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("Saturating arithmetic")
struct SaturatingArithmeticTests {
    static let edges: [Int64] = [
        .min, .min + 1, -(1 << 62), -9_223_372_037, -1_000_000_001, -1_000_000_000, -999_999_999, -2, -1, 0, 1, 2,
        999_999_999, 1_000_000_000, 1_000_000_001, 9_223_372_036, 1 << 62, .max - 1, .max,
    ]

    private static func numbers(_ count: Int, seed: UInt64) -> [Int64] {
        var random = SeededGenerator(seed: seed)
        return edges
            + (0..<count).map { _ in
                // Numbers of every magnitude.
                Int64(bitPattern: random.next()) >> Int64.random(in: 0..<64, using: &random)
            }
    }

    @Test("sums, differences and products are clamped")
    func operations() {
        let numbers = Self.numbers(200, seed: 1)
        for left in numbers {
            for right in numbers {
                let (wideLeft, wideRight) = (Int128(left), Int128(right))
                #expect(left.saturatingAdd(right) == Int64(clamping: wideLeft + wideRight), "\(left) + \(right)")
                #expect(left.saturatingSubtract(right) == Int64(clamping: wideLeft - wideRight), "\(left) - \(right)")
                #expect(left.saturatingMultiply(right) == Int64(clamping: wideLeft * wideRight), "\(left) * \(right)")
            }
        }
    }

    @Test("a duration is rounded up to whole nanoseconds and clamped")
    func conversion() {
        func roundedUp(_ attoseconds: Int128, _ unit: Int128) -> Int64 {
            // Division rounds towards zero, which is up for a negative number.
            Int64(clamping: attoseconds > 0 ? (attoseconds - 1) / unit + 1 : attoseconds / unit)
        }
        var random = SeededGenerator(seed: 2)
        var durations = Self.numbers(500, seed: 3).flatMap { number -> [Duration] in
            [.nanoseconds(number), .seconds(number), Duration(attoseconds: Int128(number))]
        }
        durations += (0..<500).map { _ in
            let bits = Int128(Int64(bitPattern: random.next())) << 60
            return Duration(attoseconds: bits >> Int128.random(in: 0..<120, using: &random))
        }
        // Around the bounds of a nanosecond, of an `Int64` and of half of an `Int128`.
        for nanoseconds: Int128 in [-1, 0, 1, 1 << 31, 1 << 32, 1 << 62, 1 << 63] + [
            500_000_000 << 64, 499_999_999 << 64,
        ] {
            for offset: Int128 in [-1_000_000_001, -1_000_000_000, -999_999_999, -1, 0, 1, 999_999_999, 1_000_000_000] {
                durations.append(Duration(attoseconds: nanoseconds * 1_000_000_000 + offset))
                durations.append(Duration(attoseconds: nanoseconds + offset))
            }
        }
        for _ in 0..<20_000 {
            let high = Int128(
                Int64.random(in: 0..<500_000_001, using: &random) >> Int64.random(in: 0..<30, using: &random)
            )
            durations.append(Duration(attoseconds: high << 64 | Int128(random.next())))
        }
        for duration in durations {
            let attoseconds = duration.attoseconds
            #expect(duration.saturatingNanoseconds == roundedUp(attoseconds, 1_000_000_000), "\(attoseconds)")
        }
    }

    @Test("an extreme duration is clamped")
    func extremes() {
        #expect(Duration(attoseconds: .max).saturatingNanoseconds == .max)
        #expect(Duration(attoseconds: .min).saturatingNanoseconds == .min)
        #expect(Duration.seconds(1e19).saturatingNanoseconds == .max)
    }
}
