import CheckSupport
import StoreSimulation

/// Damages the files of small stores and opens them: all damage of `Damage.all`, and `--count` flipped bits that
/// `--seed` determines.
///
/// `--all` flips every bit. `--image` with `--case` or `--bit` checks one case only. The bits of all files are numbered
/// in the order of the files' names.
func flipsSuite(_ options: Options) -> SuiteResult {
    let cases = flipCases(options)
    let shares = onAllProcessors { share, shares in
        var counts = FlipCounts()
        for index in stride(from: share, to: cases.count, by: shares) where counts.failures.count < 10 {
            counts.judge(cases[index])
        }
        return counts
    }
    func sum(_ count: (FlipCounts) -> Int) -> Int { shares.reduce(0) { $0 + count($1) } }
    return SuiteResult(
        summary: "\(cases.count) damaged stores; \(sum(\.rejected)) were rejected, \(sum(\.whole)) opened whole, "
            + "\(sum(\.withoutLastFrame)) without a last frame that looked cut off",
        failures: shares.flatMap(\.failures)
    )
}

private struct FlipCase: Sendable {
    var image: Int
    var damage: Damage
    /// The arguments that choose the case again.
    var replay: String
}

private func flipCases(_ options: Options) -> [FlipCase] {
    var cases: [FlipCase] = []
    for (number, image) in StoreImage.all.enumerated() where options["image"].map({ $0 == number }) ?? true {
        func flip(_ bit: Int) {
            let flip = image.flip(UInt64(bit))
            cases.append(FlipCase(image: number, damage: flip.damage, replay: "--image \(number) --bit \(flip.bit)"))
        }
        if let bit = options["bit"] {
            flip(bit)
            continue
        }
        for (index, damage) in Damage.all(to: image).enumerated() where options["case"].map({ $0 == index }) ?? true {
            cases.append(FlipCase(image: number, damage: damage, replay: "--image \(number) --case \(index)"))
        }
        if options["case"] != nil { continue }
        if options["all"] == 1 {
            for bit in 0..<image.bitCount { flip(bit) }
        } else {
            let random = SimulatedFileSystem(seed: UInt64(options["seed"] ?? 1))
            let count = (options["count"] ?? 20_000) / StoreImage.all.count + 1
            for _ in 0..<count { flip(Int(random.randomNumber() >> 1)) }
        }
    }
    return cases
}

private struct FlipCounts: Sendable {
    var rejected = 0
    var whole = 0
    var withoutLastFrame = 0
    var failures: [String] = []

    mutating func judge(_ one: FlipCase) {
        let image = StoreImage.all[one.image]
        do throws(Violation) {
            switch try image.outcome(of: one.damage) {
            case .rejected: rejected += 1
            case .whole: whole += 1
            case .withoutLastFrame: withoutLastFrame += 1
            }
        } catch {
            failures.append(
                "\(image.name), \(one.damage): \(error)\n"
                    + "  swift run -c release StoreCheck flips \(one.replay)"
            )
        }
    }
}
