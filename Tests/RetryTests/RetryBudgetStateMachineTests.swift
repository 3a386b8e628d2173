import ReliabilityTesting
import Testing

@testable import Retry

private let second: Int64 = 1_000_000_000

@Suite("RetryBudgetStateMachine: window")
struct RetryBudgetStateMachineWindowTests {
    /// All events of a sequence with their instants.
    private struct Model {
        let configuration: RetryBudget.Configuration.Window
        var calls: [Int64] = []
        /// The instants of the reservations that were not refunded.
        var decided: [Int64] = []
        /// The instants of the starts of extra attempts.
        var begun: [Int64] = []
        var pending: [(permit: RetryBudgetStateMachine.Permit, decidedAt: Int64)] = []

        var slice: Int64 { configuration.length / 20 }

        func count(_ times: [Int64], last length: Int64, now: Int64) -> Int {
            times.count { now - $0 < length }
        }

        func allowance(calls: Int) -> Int { configuration.floor + configuration.thousandths * calls }
    }

    private static let configurations: [RetryBudget.Configuration] = [
        .window(),
        .window(ratio: 0.3, perSecond: 0),
        .window(ratio: 0, perSecond: 1, over: .seconds(1)),
        .window(ratio: 0.001, perSecond: 2, over: .seconds(3)),
        .window(ratio: 5, perSecond: 0, over: .nanoseconds(1_234_567_891)),
        .window(ratio: 0, perSecond: 0),
    ]

    /// Plays a random sequence against the model, and calls `check` for each request for an extra attempt.
    private func play(
        _ configuration: RetryBudget.Configuration,
        seed: UInt64,
        check: (_ model: Model, _ isGranted: Bool, _ now: Int64) -> Void
    ) {
        guard case .window(let window) = configuration.kind else { return }
        var generator = SeededGenerator(seed: seed)
        var state = RetryBudgetStateMachine(configuration)
        var model = Model(configuration: window)
        var now = Int64.random(in: -20 * second...20 * second, using: &generator)
        for _ in 0..<1500 {
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<25: now += Int64.random(in: 0...window.length / 50, using: &generator)
            case 25..<28: now += Int64.random(in: 0...window.length, using: &generator)
            case 28: now += Int64.random(in: 0...3 * window.length, using: &generator)
            case 29..<60:
                state.recordCall(now: now)
                model.calls.append(now)
            case 60..<85:
                let available = state.available(now: now)
                let permit = state.reserve(.transient, now: now)
                #expect((permit != nil) == (available > 0))
                check(model, permit != nil, now)
                guard let permit else { break }
                #expect(state.available(now: now) == available - 1)
                model.pending.append((permit, now))
                model.decided.append(now)
            default:
                guard let index = model.pending.indices.randomElement(using: &generator) else { break }
                let (permit, decidedAt) = model.pending.remove(at: index)
                let isUsed = Bool.random(using: &generator)
                state.settle(permit, isUsed: isUsed, now: now)
                if isUsed {
                    model.begun.append(now)
                } else if let index = model.decided.firstIndex(of: decidedAt) {
                    model.decided.remove(at: index)
                }
            }
        }
    }

    @Test(
        "the extra attempts in nineteen twentieths of the window never exceed the allowance of its calls",
        arguments: configurations,
        0..<20 as Range<UInt64>
    )
    func bound(_ configuration: RetryBudget.Configuration, seed: UInt64) {
        play(configuration, seed: seed) { model, isGranted, now in
            guard isGranted else { return }
            let length = 19 * model.slice
            let extras = model.count(model.decided, last: length, now: now) + 1
            let calls = model.count(model.calls, last: length, now: now)
            #expect(1000 * extras <= model.allowance(calls: calls), "seed \(seed)")
        }
    }

    @Test(
        "only attempts that are scheduled or that started in the window cause a rejection",
        arguments: configurations,
        0..<20 as Range<UInt64>
    )
    func rejections(_ configuration: RetryBudget.Configuration, seed: UInt64) {
        play(configuration, seed: seed) { model, isGranted, now in
            if isGranted { return }
            let extras = model.count(model.begun, last: model.configuration.length, now: now) + model.pending.count + 1
            let calls = model.count(model.calls, last: 18 * model.slice, now: now)
            #expect(1000 * extras > model.allowance(calls: calls), "seed \(seed)")
        }
    }

    private func spend(_ state: inout RetryBudgetStateMachine, now: Int64) -> Int {
        var count = 0
        while let permit = state.reserve(.transient, now: now) {
            state.settle(permit, isUsed: true, now: now)
            count += 1
        }
        return count
    }

    @Test("a budget is full again after an idle window", arguments: [0, 1, 7, second - 1, 3 * second])
    func idle(offset: Int64) {
        var state = RetryBudgetStateMachine(.window(ratio: 0.2, perSecond: 1, over: .seconds(10)))
        for _ in 0..<1000 { state.recordCall(now: offset) }
        #expect(spend(&state, now: offset) == 210)
        #expect(state.available(now: offset + 10 * second) == 10)
        #expect(spend(&state, now: offset + 10 * second) == 10)
    }

    @Test("a clock that stands still, jumps ahead or steps back does not exhaust the budget")
    func clocks() {
        var state = RetryBudgetStateMachine(.window(ratio: 0.5, perSecond: 0))
        for now in [0, 0, Int64.max, .min, 0, .max, .max - 1, -1, .min + 1, 5, 4, 3] {
            state.recordCall(now: now)
            state.recordCall(now: now)
            #expect(state.available(now: now) >= 1)
            #expect(state.available(now: .max) >= 0 && state.available(now: .min) >= 0)
            #expect(spend(&state, now: now) >= 1)
        }
    }

    @Test("a ratio is exact: 0.3 allows 300 extra attempts for 1,000 calls")
    func rounding() {
        for (ratio, expected) in [
            (0.3, 300), (0.29, 290), (1.001, 1001), (1.005, 1005), (0.57, 570), (0.001, 1), (1.1, 1100), (100, 100_000),
        ] {
            var state = RetryBudgetStateMachine(.window(ratio: ratio, perSecond: 0))
            for _ in 0..<1000 { state.recordCall(now: 0) }
            #expect(state.available(now: 0) == expected)
        }
    }

    @Test("an attempt that waits longer than the window counts during its wait and from its start")
    func longWaits() {
        var state = RetryBudgetStateMachine(.window(ratio: 0, perSecond: 1, over: .seconds(1)))
        guard let permit = state.reserve(.transient, now: 0) else {
            Issue.record("the budget granted no attempt")
            return
        }
        #expect(state.available(now: 100 * second) == 0)
        state.settle(permit, isUsed: true, now: 100 * second)
        #expect(state.available(now: 100 * second + second / 2) == 0)
        #expect(state.available(now: 101 * second) == 1)
    }

    @Test("a resized window keeps the calls of its new length", arguments: [1, 5, 10, 20, 3600])
    func resized(length: Int64) {
        var state = RetryBudgetStateMachine(.window(ratio: 1, perSecond: 0, over: .seconds(10)))
        // A call each half second, so that each slice of the old window has one call.
        for tick in 0...19 as ClosedRange<Int64> { state.recordCall(now: tick * second / 2) }
        let now = 19 * second / 2
        let before = state.available(now: now)
        state.reload(.window(ratio: 1, perSecond: 0, over: .seconds(length)), now: now)
        let after = state.available(now: now)
        #expect(before == 19)
        // A longer window keeps all calls. A shorter window keeps the calls of its last seconds.
        #expect(length >= 20 ? after == 20 : after <= 2 * length && after >= 2 * length - 2)
        #expect(state.available(now: now + length * second) == 0)
    }
}

@Suite("RetryBudgetStateMachine: tokens")
struct RetryBudgetStateMachineTokenTests {
    private static let configuration = RetryBudget.Configuration.tokens(
        capacity: 12,
        refill: 2,
        transient: 5,
        timeout: 4,
        throttled: 1,
        hedge: 3
    )

    @Test("every sequence of six steps matches a model of whole tokens")
    func exhaustive() {
        let costs: [(RetryCost, Int)] = [(.transient, 5), (.timeout, 4), (.throttled, 1), (.hedge, 3)]
        func explore(
            _ state: RetryBudgetStateMachine,
            tokens: Int,
            pending: [RetryBudgetStateMachine.Permit],
            depth: Int
        ) {
            #expect(state.available(now: 0) == tokens / 5)
            if depth == 0 { return }
            var next = state
            next.recordSuccess()
            explore(next, tokens: min(12, tokens + 2), pending: pending, depth: depth - 1)
            for (expense, cost) in costs {
                var next = state
                let permit = next.reserve(expense, now: 0)
                #expect((permit != nil) == (tokens >= cost))
                guard let permit else {
                    #expect(next == state)
                    continue
                }
                #expect(permit.cost == cost)
                explore(next, tokens: tokens - cost, pending: pending + [permit], depth: depth - 1)
            }
            guard let permit = pending.last else { return }
            var used = state
            used.settle(permit, isUsed: true, now: 0)
            explore(used, tokens: tokens, pending: pending.dropLast(), depth: depth - 1)
            var refunded = state
            refunded.settle(permit, isUsed: false, now: 0)
            explore(refunded, tokens: min(12, tokens + permit.cost), pending: pending.dropLast(), depth: depth - 1)
        }
        explore(RetryBudgetStateMachine(Self.configuration), tokens: 12, pending: [], depth: 6)
    }

    @Test("a reload keeps the spent tokens and never makes the balance negative", arguments: [1, 5, 14, 500, 1000])
    func reload(capacity: Int) {
        var state = RetryBudgetStateMachine(.tokens(capacity: 500, transient: 1, timeout: 1, throttled: 1, hedge: 1))
        var pending: [RetryBudgetStateMachine.Permit] = []
        for _ in 0..<400 { if let permit = state.reserve(.transient, now: 0) { pending.append(permit) } }
        let smaller = RetryBudget.Configuration.tokens(
            capacity: capacity,
            transient: 1,
            timeout: 1,
            throttled: 1,
            hedge: 1
        )
        state.reload(smaller, now: 0)
        #expect(state.available(now: 0) == max(0, capacity - 400))
        for permit in pending { state.settle(permit, isUsed: false, now: 0) }
        #expect(state.available(now: 0) == capacity)
    }

    @Test("a reservation from before a change of kind has no effect after the change")
    func changeOfKind() {
        var state = RetryBudgetStateMachine(.tokens())
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
        "an empty budget refills in bounded time under steady success, in every mode",
        arguments: [
            RetryBudget.Configuration.tokens(), .tokens(capacity: 1_000_000, refill: 1000), .window(),
            .window(ratio: 0, perSecond: 1), .window(ratio: 0.5, perSecond: 0, over: .seconds(60)),
        ]
    )
    func refills(configuration: RetryBudget.Configuration) {
        var fresh = RetryBudgetStateMachine(configuration)
        var drained = fresh
        while let permit = drained.reserve(.hedge, now: 0) { drained.settle(permit, isUsed: true, now: 0) }
        #expect(drained.reserve(.hedge, now: 0) == nil)
        // A call each 60 ms for 60 s: a thousand in all.
        var now: Int64 = 0
        for _ in 0..<1000 {
            now += 60_000_000
            fresh.recordCall(now: now)
            fresh.recordSuccess()
            drained.recordCall(now: now)
            drained.recordSuccess()
        }
        #expect(drained.available(now: now) == fresh.available(now: now))
        #expect(drained.available(now: now) > 0)
    }
}
