import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Bulkhead

@Suite("LimitAdaptation")
struct LimitAdaptationTests {
    static let algorithms: [AdaptiveLimit.Algorithm] = [.aimd, .vegas, .gradient]
    private static let second: Int64 = 1_000_000_000

    /// A dependency that serves a number of calls at the same time and makes further calls wait.
    private struct Dependency {
        var capacity = 50.0
        let service = 0.020

        /// The duration of a call among a number of calls at the same time, in seconds.
        func duration(_ running: Int, _ random: inout SeededGenerator) -> Double {
            service * max(1, Double(running) / capacity) * Double.random(in: 0.9...1.1, using: &random)
        }
    }

    /// Runs windows of a second, with as many calls at the same time as the limit allows.
    private func run(
        _ adaptation: inout LimitAdaptation,
        _ dependency: Dependency,
        windows: Int,
        load: Int = .max,
        timeout: Double = .infinity,
        _ now: inout Int64,
        _ random: inout SeededGenerator
    ) {
        for _ in 0..<windows {
            let running = min(adaptation.limit, load)
            for call in 0...20 {
                let duration = dependency.duration(running, &random)
                let outcome: Outcome = duration > timeout ? .failure : .success
                adaptation.record(
                    outcome,
                    duration: Int64(min(duration, timeout) * 1e9),
                    running: running,
                    now: now + Int64(call + 1) * Self.second / 20
                )
            }
            now += Self.second + Self.second / 20
        }
    }

    private func settings(_ algorithm: AdaptiveLimit.Algorithm) -> AdaptiveLimit {
        AdaptiveLimit(algorithm, initial: 20, min: 5, max: 200)
    }

    @Test("INV-43: limit in [min,max], whatever the samples", arguments: algorithms, 0..<20)
    func bounds(algorithm: AdaptiveLimit.Algorithm, seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var adaptation = LimitAdaptation(settings(algorithm))
        var now: Int64 = 0
        for _ in 0..<5000 {
            now += Int64.random(in: -1_000_000...200_000_000, using: &random)
            let durations: [Int64] = [0, -5, 1, 1_000_000, .max, Int64.random(in: 0...Self.second, using: &random)]
            adaptation.record(
                [.success, .failure, .ignored].randomElement(using: &random) ?? .success,
                duration: durations.randomElement(using: &random) ?? 0,
                running: Int.random(in: 0...300, using: &random),
                now: now
            )
            #expect((5...200).contains(adaptation.limit))
        }
    }

    @Test("INV-43: doesn't grow while in-flight < limit/2", arguments: algorithms)
    func appLimited(algorithm: AdaptiveLimit.Algorithm) {
        var random = SeededGenerator(seed: 1)
        var adaptation = LimitAdaptation(settings(algorithm))
        var now: Int64 = 0
        run(&adaptation, Dependency(), windows: 25, load: 9, &now, &random)
        #expect(adaptation.limit <= 20)
        run(&adaptation, Dependency(), windows: 25, &now, &random)
        #expect(adaptation.limit > 20)
    }

    @Test("INV-43: rejected/cancelled calls give no sample", arguments: algorithms)
    func ignoredCalls(algorithm: AdaptiveLimit.Algorithm) {
        var adaptation = LimitAdaptation(settings(algorithm))
        let before = adaptation
        for call in 0..<1000 {
            adaptation.record(.ignored, duration: 1, running: 20, now: Int64(call) * Self.second)
        }
        #expect(adaptation == before)
    }

    @Test("a failure is no sample of a short duration, and lowers the limit", arguments: algorithms)
    func failures(algorithm: AdaptiveLimit.Algorithm) {
        var adaptation = LimitAdaptation(settings(algorithm))
        for call in 0..<20 {
            adaptation.record(.failure, duration: 1000, running: 20, now: Int64(call) * Self.second / 10)
        }
        #expect(adaptation.limit == 18)
    }

    @Test("a failure in a hundred calls does not keep the limit below the capacity", arguments: algorithms)
    func fewFailures(algorithm: AdaptiveLimit.Algorithm) {
        var random = SeededGenerator(seed: 4)
        var adaptation = LimitAdaptation(settings(algorithm))
        let dependency = Dependency()
        for call in 1...20_000 {
            adaptation.record(
                call % 100 == 0 ? .failure : .success,
                duration: Int64(dependency.duration(adaptation.limit, &random) * 1e9),
                running: adaptation.limit,
                now: Int64(call) * Self.second / 200
            )
        }
        #expect(adaptation.limit >= 40)
    }

    @Test("the limit finds the capacity of a dependency", arguments: algorithms)
    func capacity(algorithm: AdaptiveLimit.Algorithm) {
        var random = SeededGenerator(seed: 2)
        var adaptation = LimitAdaptation(settings(algorithm))
        var now: Int64 = 0
        run(&adaptation, Dependency(), windows: 200, timeout: 0.040, &now, &random)
        var limits: [Int] = []
        for _ in 0..<50 {
            run(&adaptation, Dependency(), windows: 1, timeout: 0.040, &now, &random)
            limits.append(adaptation.limit)
        }
        let mean = Double(limits.reduce(0, +)) / Double(limits.count)
        #expect((40...105).contains(mean), "\(limits)")
    }

    @Test("INV-43: recovers to ≥ 0.8 of true capacity within 60 windows after a brown-out", arguments: algorithms)
    func brownOut(algorithm: AdaptiveLimit.Algorithm) {
        var random = SeededGenerator(seed: 3)
        var adaptation = LimitAdaptation(settings(algorithm))
        var now: Int64 = 0
        run(&adaptation, Dependency(), windows: 100, timeout: 0.040, &now, &random)
        run(&adaptation, Dependency(capacity: 8), windows: 60, timeout: 0.040, &now, &random)
        #expect(adaptation.limit < 30)
        run(&adaptation, Dependency(), windows: 60, timeout: 0.040, &now, &random)
        // A probe of Vegas halves the limit for a window.
        let first = adaptation.limit
        run(&adaptation, Dependency(), windows: 1, timeout: 0.040, &now, &random)
        #expect(max(first, adaptation.limit) >= 40)
    }

    @Test("a latency that has risen for good does not keep the limit of Vegas at its minimum")
    func newBaseline() {
        var random = SeededGenerator(seed: 4)
        var adaptation = LimitAdaptation(settings(.vegas))
        var now: Int64 = 0
        run(&adaptation, Dependency(), windows: 50, &now, &random)
        for _ in 0..<100 {
            let running = adaptation.limit
            for call in 0...20 {
                adaptation.record(.success, duration: 60_000_000, running: running, now: now + Int64(call) * 50_000_000)
            }
            now += Self.second
        }
        #expect(adaptation.limit > 100)
    }

    @Test("a reload keeps the limit as far as the new figures allow")
    func reload() {
        var random = SeededGenerator(seed: 5)
        var adaptation = LimitAdaptation(settings(.aimd))
        var now: Int64 = 0
        run(&adaptation, Dependency(), windows: 10, &now, &random)
        let limit = adaptation.limit
        #expect(limit > 20)
        adaptation.reload(AdaptiveLimit(.gradient, initial: 20, min: 5, max: 200))
        #expect(adaptation.limit == limit)
        adaptation.reload(AdaptiveLimit(.gradient, initial: 10, min: 5, max: 10))
        #expect(adaptation.limit == 10)
    }
}
