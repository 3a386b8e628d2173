import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("RelayStateMachine")
struct RelayStateMachineTests {
    private enum Step: CaseIterable {
        case askFull, askSome, askAlone, askNone, askLater, fail, deliver, deliverRetry, hang, endAlone, endOther, wake
        case tick, drain
    }

    @Test("every sequence of five steps keeps the bounds, never spins and misses no wake")
    func exhaustive() {
        let random = RandomSource(SeededGenerator(seed: 1))
        let (token, otherToken) = (StoreVersion(rawValue: 1), StoreVersion(rawValue: 2))
        func explore(
            _ state: RelayStateMachine,
            _ now: Int64,
            delivering: Int,
            isDrained: Bool,
            isAlone: Bool = false,
            isCautious: Bool = false,
            hanging: Int = 0,
            depth: Int
        ) {
            #expect(state.inFlight == delivering && delivering <= 3)
            #expect(state.isAlone(token) == (isAlone && delivering - hanging <= 1) && !state.isAlone(otherToken))
            if depth == 0 { return }
            for step in Step.allCases {
                var next = state
                var (now, delivering, isDrained, isAlone) = (now, delivering, isDrained, isAlone)
                var (isCautious, hanging) = (isCautious, hanging)
                switch step {
                case .askFull, .askSome, .askAlone, .askNone, .askLater, .fail:
                    let action = next.next(now: now)
                    guard case .claim(let limit, let changeCount) = action else {
                        #expect((action == .stop) == isDrained)
                        if action == .wait(until: nil) { #expect(delivering == 3 || isAlone) }
                        if case .wait(let until?) = action { #expect(until > now) }
                        continue
                    }
                    #expect(limit >= 1 && limit <= 2 && limit <= 3 - delivering)
                    #expect(!isAlone && (!isCautious || limit == 1))
                    #expect(next.inFlight == delivering + limit)
                    if step == .fail {
                        next.recordFailedRequest(limit)
                        next.storeFailed(now: now, random: random)
                        next.wake()
                        guard case .wait(let until?) = next.next(now: now) else {
                            Issue.record("asks again without a wait after a failure of the store")
                            continue
                        }
                        #expect((50_000_000...5_000_000_000).contains(until - now))
                    } else {
                        let count = step == .askFull ? limit : step == .askAlone ? 1 : step == .askSome ? limit - 1 : 0
                        isAlone = step == .askAlone
                        isCautious = isAlone
                        next.recordClaims(count, of: limit, isolating: isAlone ? token : nil)
                        delivering += count
                        if step == .askNone {
                            next.recordNextDue(claimed: 0, nextDue: .zero, changeCount: changeCount, now: now)
                            if case .claim = next.next(now: now) { Issue.record("asks again at once") }
                            next = state
                            _ = next.next(now: now)
                            next.recordClaims(0, of: limit, isolating: nil)
                            next.wake()
                            next.recordNextDue(claimed: 0, nextDue: nil, changeCount: changeCount, now: now)
                            guard case .claim(let again, _) = next.next(now: now) else {
                                Issue.record("sleeps although it was woken while it asked")
                                continue
                            }
                            next.recordFailedRequest(again)
                        }
                        if step == .askLater {
                            next.recordNextDue(claimed: 0, nextDue: .seconds(1000), changeCount: changeCount, now: now)
                        }
                    }
                case .deliver, .deliverRetry:
                    if delivering == 0 { continue }
                    if hanging == delivering {
                        next.recordOverrunReturn()
                        hanging -= 1
                    }
                    delivering -= 1
                    next.endDelivery(dueAfter: step == .deliver ? nil : .nanoseconds(7), now: now)
                case .hang:
                    if hanging == delivering { continue }
                    next.recordOverrun(of: isAlone ? token : otherToken)
                    hanging += 1
                    isAlone = false
                case .endAlone:
                    next.endIsolation(of: token)
                    isAlone = false
                case .endOther: next.endIsolation(of: otherToken)
                case .wake: next.wake()
                case .tick: now += 5_000_000_000
                case .drain:
                    next.drain()
                    isDrained = true
                }
                explore(
                    next,
                    now,
                    delivering: delivering,
                    isDrained: isDrained,
                    isAlone: isAlone,
                    isCautious: isCautious,
                    hanging: hanging,
                    depth: depth - 1
                )
            }
        }
        let state = RelayStateMachine(concurrency: 3, maxClaim: 2, pollInterval: .seconds(5))
        explore(state, 0, delivering: 0, isDrained: false, depth: 5)
    }

    @Test("instants and durations saturate")
    func saturates() {
        var state = RelayStateMachine(concurrency: .max, maxClaim: .max, pollInterval: .seconds(Int64.max))
        guard case .claim(let limit, let changeCount) = state.next(now: .max) else { return }
        state.recordClaims(1, of: limit, isolating: nil)
        state.recordNextDue(claimed: 0, nextDue: .seconds(Int64.max), changeCount: changeCount, now: .max)
        state.endDelivery(dueAfter: .seconds(Int64.max), now: .max)
        #expect(state.inFlight == 0)
    }

    @Test("deliveries whose outcomes wait for the store free their workers up to the number of workers")
    func settling() {
        var state = RelayStateMachine(concurrency: 3, maxClaim: 2, pollInterval: .seconds(5))
        var claimed = 0
        func claim() {
            guard case .claim(let limit, _) = state.next(now: 0) else { return }
            state.recordClaims(limit, of: limit, isolating: nil)
            claimed += limit
        }
        for _ in 0..<5 { claim() }
        #expect(claimed == 3)
        for count in 1...6 {
            state.beginSettling()
            claim()
            // Three outcomes wait without a worker. Each further outcome keeps its worker.
            #expect(claimed == 3 + min(count, 3))
        }
        #expect(state.inFlight == 6 && state.next(now: 0) == .wait(until: nil))
        for count in 1...6 {
            state.endDelivery(dueAfter: nil, wasSettling: true, now: 0)
            #expect(state.inFlight == 6 - count)
        }
    }
}
