import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("AtomicUpdate")
struct AtomicUpdateTests {
    static func random(_ random: inout SeededGenerator) -> AtomicUpdate {
        let durations: [Duration] = [
            .zero, .seconds(-1), .nanoseconds(1), .microseconds(7), .milliseconds(100), .seconds(60),
            .seconds(Int64.max),
            Duration(attoseconds: .max), Duration(attoseconds: .min),
        ]
        let numbers = [Int.min, -1, 0, 1, 2, 5, 1000, .max]
        func duration() -> Duration { durations.randomElement(using: &random) ?? .zero }
        func number() -> Int { numbers.randomElement(using: &random) ?? 0 }
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            let (first, second) = (Int64(number()), Int64(number()))
            return .add(Int64(number()), within: min(first, second)...max(first, second), expiry: duration())
        case 1: return .gcra(interval: duration(), burst: number(), cost: number())
        default: return .fixedWindow(length: duration(), limit: number(), cost: number())
        }
    }

    @Test("any parameters, state and time give a valid result with an expiry", arguments: 0..<20 as Range<UInt64>)
    func neverTraps(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let times: [Int64] = [0, 1, 1_700_000_000_000_000_000, .max - 1, .max, -1, .min]
        var states: [[UInt8]?] = [
            nil, [], [1], [UInt8](repeating: 0xFF, count: 17), [UInt8](repeating: 0, count: 4096),
        ]
        for tag in 0...4 as ClosedRange<UInt8> {
            states.append([tag] + [UInt8](repeating: 0x7F, count: 16))
            states.append([tag] + [UInt8](repeating: 0xFF, count: 16))
            states.append([tag, 0x80] + [UInt8](repeating: 0, count: 15))
        }
        for _ in 0..<2000 {
            let update = Self.random(&random)
            let state = states.randomElement(using: &random) ?? nil
            let now = times.randomElement(using: &random) ?? 0
            let application = update.apply(to: state, now: now)
            let what = "seed \(seed): \(update) at \(now) on \(state.map { "\($0.prefix(17))" } ?? "nothing")"
            if application.decision.isAllowed {
                #expect(application.value != nil, "\(what)")
            } else if let repaired = application.value {
                // A denied update may cut state from the far future, once.
                let again = update.apply(to: repaired, now: now)
                #expect(again.value == nil && !again.decision.isAllowed, "\(what)")
            }
            #expect(application.expiresAfter > .zero, "\(what)")
            #expect(application.decision.resetAfter >= .zero, "\(what)")
            if case .add = update {} else { #expect(application.decision.remaining >= 0, "\(what)") }
            if let value = application.value, states.count < 500 { states.append(value) }
        }
    }

    @Test(
        "a denied update is allowed after its retryAfter, and never if it has none",
        arguments: 0..<20 as Range<UInt64>
    )
    func retryAfter(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let updates: [AtomicUpdate] = [
            .add(3, within: -5...10, expiry: .seconds(1)), .add(-4, within: -5...10, expiry: .seconds(1)),
            .add(11, within: -5...10, expiry: .seconds(1)), .gcra(interval: .milliseconds(100), burst: 5, cost: 2),
            .gcra(interval: .milliseconds(100), burst: 5, cost: 6),
            .gcra(interval: .milliseconds(30), burst: 1, cost: 1),
            .fixedWindow(length: .seconds(1), limit: 4, cost: 3), .fixedWindow(length: .seconds(1), limit: 4, cost: 5),
        ]
        for update in updates {
            var now: Int64 = 1_700_000_000_000_000_000
            var state: [UInt8]?
            for _ in 0..<100 {
                let application = update.apply(to: state, now: now)
                if application.decision.isAllowed {
                    state = application.value
                } else if let wait = application.decision.retryAfter {
                    #expect(wait > .zero)
                    let then = now + wait.saturatingNanoseconds
                    #expect(update.apply(to: state, now: then).decision.isAllowed, "seed \(seed): \(update)")
                    #expect(!update.apply(to: state, now: then - 1).decision.isAllowed, "seed \(seed): \(update)")
                } else {
                    #expect(!update.apply(to: nil, now: now).decision.isAllowed, "seed \(seed): \(update)")
                }
                now += Int64.random(in: 0...300_000_000, using: &random)
            }
        }
    }

    @Test("GCRA admits at most its burst and one update more per interval", arguments: 0..<20 as Range<UInt64>)
    func gcraBound(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (interval, burst) = (Int64(100), Int64(5))
        var now: Int64 = 1_000_000
        var state: [UInt8]?
        var admitted: [Int64] = []
        for _ in 0..<1000 {
            let cost = Int.random(in: 0...3, using: &random)
            let update = AtomicUpdate.gcra(interval: .nanoseconds(interval), burst: Int(burst), cost: cost)
            let application = update.apply(to: state, now: now)
            if application.decision.isAllowed {
                state = application.value
                admitted += [Int64](repeating: now, count: cost)
                // Every span that ends now has at most the number for its length.
                for (index, start) in admitted.enumerated() {
                    let count = Int64(admitted.count - index)
                    #expect(count <= burst + (now - start) / interval, "seed \(seed)")
                }
            }
            if admitted.count > 200 { admitted.removeFirst(100) }
            now += Int64.random(in: 0...150, using: &random)
        }
    }

    @Test("a fixed window admits its limit and reports the remainder")
    func fixedWindow() {
        let update = AtomicUpdate.fixedWindow(length: .nanoseconds(100), limit: 2, cost: 1)
        var state: [UInt8]?
        var seen: [[Int64]] = []
        for now in [1000, 1050, 1099, 1100, 1150, 1199, 1200] as [Int64] {
            let application = update.apply(to: state, now: now)
            if let value = application.value { state = value }
            let decision = application.decision
            let reset = decision.resetAfter.saturatingNanoseconds
            seen.append([now, decision.isAllowed ? 1 : 0, decision.remaining, reset])
        }
        #expect(
            seen == [
                [1000, 1, 1, 100], [1050, 1, 0, 50], [1099, 0, 0, 1], [1100, 1, 1, 100], [1150, 1, 0, 50],
                [1199, 0, 0, 1], [1200, 1, 1, 100],
            ]
        )
    }

    @Test("a counter that would overflow is denied")
    func addOverflow() {
        let full = AtomicUpdate.add(.max, within: .min ... .max, expiry: .seconds(1)).apply(to: nil, now: 0)
        #expect(full.decision.remaining == .max)
        let more = AtomicUpdate.add(1, within: .min ... .max, expiry: .seconds(1)).apply(to: full.value, now: 1)
        #expect(!more.decision.isAllowed)
        #expect(more.decision.remaining == .max)
    }

    @Test("state from the far future blocks a key no longer than current state")
    func farFuture() {
        let updates: [AtomicUpdate] = [
            .gcra(interval: .seconds(1), burst: 3, cost: 3), .fixedWindow(length: .seconds(3), limit: 3, cost: 3),
            .add(3, within: 0...3, expiry: .seconds(3)),
        ]
        for update in updates {
            let future = update.apply(to: nil, now: .max / 2).value
            let denied = update.apply(to: future, now: 0)
            #expect(!denied.decision.isAllowed)
            #expect(denied.decision.resetAfter <= .seconds(3))
            #expect(denied.decision.retryAfter.map { $0 <= .seconds(3) } == true)
        }
    }
}
