import ReliabilityCore
import StoreSimulation

/// Damages a small store's files and opens them.
///
/// All damage of `Damage.all`, and `--count` flipped bits chosen by `--seed` (or every bit with `--all`), on each of the
/// images. One case again: `--image NAME --bit N`, or `--image NAME --case N` for one of `Damage.all`.
enum FlipsSuite {
    private struct Case: Sendable {
        var image: StoreImage
        var damage: Damage
        /// The options that choose this case.
        var replay: String
    }

    private struct Counts {
        var refused = 0
        var whole = 0
        var withoutLastFrame = 0
        var violations: [String] = []
    }

    /// Runs the suite; false when a store did what it must never do.
    static func run(_ arguments: [String]) -> Bool {
        let start = ContinuousClock.now
        let options = Options(arguments)
        let cases = Self.cases(options)
        let counts = inParallel(cases.count) { range in
            var counts = Counts()
            for index in range { judge(cases[index], &counts) }
            return counts
        }
        var total = Counts()
        for part in counts {
            total.refused += part.refused
            total.whole += part.whole
            total.withoutLastFrame += part.withoutLastFrame
            total.violations += part.violations
        }
        for violation in total.violations.prefix(20) { print(violation) }
        print(
            "flips: \(cases.count) damaged stores: \(total.refused) refused, \(total.whole) whole, "
                + "\(total.withoutLastFrame) without a last frame that looked cut off, "
                + "\(total.violations.count) violations; \(seconds(since: start))"
        )
        return total.violations.isEmpty
    }

    private static func cases(_ options: Options) -> [Case] {
        var cases: [Case] = []
        for image in StoreImage.all where options.text("--image").map({ $0 == image.name }) ?? true {
            func flip(_ bit: Int) {
                let replay = "--image \(image.name) --bit \(bit)"
                cases.append(Case(image: image, damage: .flip("log", bit: bit), replay: replay))
            }
            let others = Damage.all(to: image)
            if let bit = options.number("--bit") {
                flip(bit)
                continue
            }
            for (index, damage) in others.enumerated() where options.number("--case").map({ $0 == index }) ?? true {
                cases.append(Case(image: image, damage: damage, replay: "--image \(image.name) --case \(index)"))
            }
            if options.number("--case") != nil { continue }
            let bits = image.log.count * 8
            if options.has("--all") {
                for bit in 0..<bits { flip(bit) }
            } else {
                let random = SimulatedFileSystem(seed: UInt64(options.number("--seed") ?? 1))
                let count = (options.number("--count") ?? 20_000) / StoreImage.all.count + 1
                for _ in 0..<count { flip(Int(random.randomNumber() % UInt64(bits))) }
            }
        }
        return cases
    }

    private static func judge(_ one: Case, _ counts: inout Counts) {
        do throws(StoreImage.Violation) {
            switch try one.image.outcome(of: one.damage) {
            case .refused: counts.refused += 1
            case .whole: counts.whole += 1
            case .withoutLastFrame: counts.withoutLastFrame += 1
            }
        } catch {
            counts.violations.append(
                "\(one.image.name), \(one.damage): \(error.description)\n"
                    + "  again: swift run -c release StoreCheck flips \(one.replay)"
            )
        }
    }
}
