import ReliabilityTesting
import Testing

@testable import Retry

private let second: Int64 = 1_000_000_000

@Suite("RetryBudgetState: a window")
struct BudgetWindowModelTests {
    /// Everything that ever happened, each with its moment.
    private struct Model {
        let configuration: RetryBudgetConfiguration.Window
        var calls: [Int64] = []
        /// When each extra attempt that was not given back was decided.
        var decided: [Int64] = []
        /// When each that began did.
        var begun: [Int64] = []
        var pending: [(grant: RetryBudgetState.Grant, decidedAt: Int64)] = []

        var slice: Int64 { configuration.length / 20 }

        func count(_ times: [Int64], last length: Int64, now: Int64) -> Int {
            times.count { now - $0 < length }
        }

        func allowance(calls: Int) -> Int { configuration.floor + configuration.ratio * calls }
    }

    private static let configurations: [RetryBudgetConfiguration] = [
        .window(),
        .window(ratio: 0.3, perSecond: 0),
        .window(ratio: 0, perSecond: 1, over: .seconds(1)),
        .window(ratio: 0.001, perSecond: 2, over: .seconds(3)),
        .window(ratio: 5, perSecond: 0, over: .nanoseconds(1_234_567_891)),
        .window(ratio: 0, perSecond: 0),
    ]

    /// Plays a random sequence against the list of everything, and calls `check` for each request for an extra attempt.
    private func play(
        _ configuration: RetryBudgetConfiguration,
        seed: UInt64,
        check: (_ model: Model, _ isGranted: Bool, _ now: Int64) -> Void
    ) {
        guard case .window(let window) = configuration.kind else { return }
        var generator = SeededGenerator(seed: seed)
        var state = RetryBudgetState(configuration)
        var model = Model(configuration: window)
        var now = Int64.random(in: -20 * second...20 * second, using: &generator)
        for _ in 0..<1500 {
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<25: now += Int64.random(in: 0...window.length / 50, using: &generator)
            case 25..<28: now += Int64.random(in: 0...window.length, using: &generator)
            case 28: now += Int64.random(in: 0...3 * window.length, using: &generator)
            case 29..<60:
                state.noteCall(now: now)
                model.calls.append(now)
            case 60..<85:
                let available = state.available(now: now)
                let grant = state.reserve(.transient, now: now)
                #expect((grant != nil) == (available > 0))
                check(model, grant != nil, now)
                guard let grant else { break }
                #expect(state.available(now: now) == available - 1)
                model.pending.append((grant, now))
                model.decided.append(now)
            default:
                guard let index = model.pending.indices.randomElement(using: &generator) else { break }
                let (grant, decidedAt) = model.pending.remove(at: index)
                let isUsed = Bool.random(using: &generator)
                state.settle(grant, isUsed: isUsed, now: now)
                if isUsed {
                    model.begun.append(now)
                } else if let index = model.decided.firstIndex(of: decidedAt) {
                    model.decided.remove(at: index)
                }
            }
        }
    }

    @Test(
        "INV-24: in every nineteen twentieths of the window there are no more extra attempts than its calls allow",
        arguments: configurations,
        0..<20 as Range<UInt64>
    )
    func bound(_ configuration: RetryBudgetConfiguration, seed: UInt64) {
        play(configuration, seed: seed) { model, isGranted, now in
            guard isGranted else { return }
            let length = 19 * model.slice
            let extras = model.count(model.decided, last: length, now: now) + 1
            let calls = model.count(model.calls, last: length, now: now)
            #expect(1000 * extras <= model.allowance(calls: calls), "seed \(seed)")
        }
    }

    @Test(
        "INV-18, INV-25: what is scheduled and what began in the window makes it refuse, and nothing older does",
        arguments: configurations,
        0..<20 as Range<UInt64>
    )
    func refusals(_ configuration: RetryBudgetConfiguration, seed: UInt64) {
        play(configuration, seed: seed) { model, isGranted, now in
            if isGranted { return }
            let extras = model.count(model.begun, last: model.configuration.length, now: now) + model.pending.count + 1
            let calls = model.count(model.calls, last: 18 * model.slice, now: now)
            #expect(1000 * extras > model.allowance(calls: calls), "seed \(seed)")
        }
    }

    private func spend(_ state: inout RetryBudgetState, now: Int64) -> Int {
        var count = 0
        while let grant = state.reserve(.transient, now: now) {
            state.settle(grant, isUsed: true, now: now)
            count += 1
        }
        return count
    }

    @Test("INV-18: after a time as long as the window it is as new", arguments: [0, 1, 7, second - 1, 3 * second])
    func idle(offset: Int64) {
        var state = RetryBudgetState(.window(ratio: 0.2, perSecond: 1, over: .seconds(10)))
        for _ in 0..<1000 { state.noteCall(now: offset) }
        #expect(spend(&state, now: offset) == 210)
        #expect(state.available(now: offset + 10 * second) == 10)
        #expect(spend(&state, now: offset + 10 * second) == 10)
    }

    @Test("INV-17: a clock that stands still, jumps by centuries or steps back breaks nothing")
    func clocks() {
        var state = RetryBudgetState(.window(ratio: 0.5, perSecond: 0))
        for now in [0, 0, Int64.max, .min, 0, .max, .max - 1, -1, .min + 1, 5, 4, 3] {
            state.noteCall(now: now)
            state.noteCall(now: now)
            #expect(state.available(now: now) >= 1)
            #expect(state.available(now: .max) >= 0 && state.available(now: .min) >= 0)
            #expect(spend(&state, now: now) >= 1)
        }
    }

    @Test("a share is not cut off: with 0.3 there are three for ten calls")
    func rounding() {
        for (ratio, expected) in [(0.3, 300), (0.29, 290), (0.001, 1), (1.1, 1100), (100, 100_000)] {
            var state = RetryBudgetState(.window(ratio: ratio, perSecond: 0))
            for _ in 0..<1000 { state.noteCall(now: 0) }
            #expect(state.available(now: 0) == expected)
        }
    }

    @Test("an attempt that is scheduled for longer than the window still counts, and then counts from its beginning")
    func longWaits() {
        var state = RetryBudgetState(.window(ratio: 0, perSecond: 1, over: .seconds(1)))
        guard let grant = state.reserve(.transient, now: 0) else {
            Issue.record("nothing was given out")
            return
        }
        #expect(state.available(now: 100 * second) == 0)
        state.settle(grant, isUsed: true, now: 100 * second)
        #expect(state.available(now: 100 * second + second / 2) == 0)
        #expect(state.available(now: 101 * second) == 1)
    }

    @Test("a window that is made longer or shorter keeps what lies in it", arguments: [1, 5, 10, 20, 3600])
    func resized(length: Int64) {
        var state = RetryBudgetState(.window(ratio: 1, perSecond: 0, over: .seconds(10)))
        // A call each half second, so that a slice of the old window has one.
        for tick in 0...19 as ClosedRange<Int64> { state.noteCall(now: tick * second / 2) }
        let now = 19 * second / 2
        let before = state.available(now: now)
        state.reload(.window(ratio: 1, perSecond: 0, over: .seconds(length)), now: now)
        let after = state.available(now: now)
        #expect(before == 19)
        // All of them in a longer window, those of its last seconds in a shorter one.
        #expect(length >= 20 ? after == 20 : after <= 2 * length && after >= 2 * length - 2)
        #expect(state.available(now: now + length * second) == 0)
    }
}

@Suite("RetryBudgetState: tokens")
struct BudgetTokensTests {
    private static let configuration = RetryBudgetConfiguration.tokens(
        capacity: 12,
        refill: 2,
        transient: 5,
        timeout: 4,
        throttled: 1,
        hedge: 3
    )

    @Test("every sequence of six steps keeps to a model of whole tokens")
    func exhaustive() {
        let costs: [(RetryBudget.Expense, Int)] = [(.transient, 5), (.timeout, 4), (.throttled, 1), (.hedge, 3)]
        func explore(_ state: RetryBudgetState, tokens: Int, pending: [RetryBudgetState.Grant], depth: Int) {
            #expect(state.available(now: 0) == tokens / 5)
            if depth == 0 { return }
            var next = state
            next.noteSuccess()
            explore(next, tokens: min(12, tokens + 2), pending: pending, depth: depth - 1)
            for (expense, cost) in costs {
                var next = state
                let grant = next.reserve(expense, now: 0)
                #expect((grant != nil) == (tokens >= cost))
                guard let grant else {
                    #expect(next == state)
                    continue
                }
                #expect(grant.cost == cost)
                explore(next, tokens: tokens - cost, pending: pending + [grant], depth: depth - 1)
            }
            guard let grant = pending.last else { return }
            var used = state
            used.settle(grant, isUsed: true, now: 0)
            explore(used, tokens: tokens, pending: pending.dropLast(), depth: depth - 1)
            var refunded = state
            refunded.settle(grant, isUsed: false, now: 0)
            explore(refunded, tokens: min(12, tokens + grant.cost), pending: pending.dropLast(), depth: depth - 1)
        }
        explore(RetryBudgetState(Self.configuration), tokens: 12, pending: [], depth: 6)
    }

    @Test("a reload keeps what was spent, and never makes a debt", arguments: [1, 5, 14, 500, 1000])
    func reload(capacity: Int) {
        var state = RetryBudgetState(.tokens(capacity: 500, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        var pending: [RetryBudgetState.Grant] = []
        for _ in 0..<400 { if let grant = state.reserve(.transient, now: 0) { pending.append(grant) } }
        let smaller = RetryBudgetConfiguration.tokens(
            capacity: capacity,
            transient: 1,
            timeout: 1,
            throttled: 1,
            hedge: 1
        )
        state.reload(smaller, now: 0)
        #expect(state.available(now: 0) == max(0, capacity - 400))
        for grant in pending { state.settle(grant, isUsed: false, now: 0) }
        #expect(state.available(now: 0) == capacity)
    }

    @Test("a reservation from before a change of kind has no effect after it")
    func changeOfKind() {
        var state = RetryBudgetState(.tokens())
        let old = state.reserve(.transient, now: 0)
        state.reload(.window(ratio: 0, perSecond: 1), now: 0)
        if let old { state.settle(old, isUsed: true, now: 0) }
        #expect(state.available(now: 0) == 10)
        state.reload(.tokens(), now: 0)
        #expect(state.available(now: 0) == 35)
        let present = state.reserve(.transient, now: 0)
        if let old { state.settle(old, isUsed: false, now: 0) }
        #expect(state.available(now: 0) == 34)
        #expect(present != nil)
    }

    @Test(
        "INV-27: under steady success an empty budget is full again in bounded time, in every mode",
        arguments: [
            RetryBudgetConfiguration.tokens(), .tokens(capacity: 1_000_000, refill: 1000), .window(),
            .window(ratio: 0, perSecond: 1), .window(ratio: 0.5, perSecond: 0, over: .seconds(60)),
        ]
    )
    func refills(configuration: RetryBudgetConfiguration) {
        var fresh = RetryBudgetState(configuration)
        var drained = fresh
        while let grant = drained.reserve(.hedge, now: 0) { drained.settle(grant, isUsed: true, now: 0) }
        #expect(drained.reserve(.hedge, now: 0) == nil)
        // A call each 60 ms for 60 s: a thousand in all.
        var now: Int64 = 0
        for _ in 0..<1000 {
            now += 60_000_000
            fresh.noteCall(now: now)
            fresh.noteSuccess()
            drained.noteCall(now: now)
            drained.noteSuccess()
        }
        #expect(drained.available(now: now) == fresh.available(now: now))
        #expect(drained.available(now: now) > 0)
    }
}
