import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Outbox

@Suite("RelayState")
struct RelayStateTests {
    private enum Step: CaseIterable {
        case askFull, askSome, askAlone, askNone, askLater, fail, deliver, deliverRetry, hang, endAlone, endOther, wake
        case tick, drain
    }

    @Test("every sequence of up to five steps keeps the bounds, never spins and never sleeps past news")
    func exhaustive() {
        let random = RandomSource(SeededGenerator(seed: 1))
        let (token, otherToken) = (StoreVersion(rawValue: 1), StoreVersion(rawValue: 2))
        func explore(
            _ state: RelayState,
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
                    guard case .claim(let limit, let news) = action else {
                        #expect((action == .stop) == isDrained)
                        if action == .wait(until: nil) { #expect(delivering == 3 || isAlone) }
                        if case .wait(let until?) = action { #expect(until > now) }
                        continue
                    }
                    #expect(limit >= 1 && limit <= 2 && limit <= 3 - delivering)
                    #expect(!isAlone && (!isCautious || limit == 1))
                    #expect(next.inFlight == delivering + limit)
                    if step == .fail {
                        next.notClaimed(limit)
                        let wait = next.storeFailed(now: now, random: random)
                        #expect(wait >= .milliseconds(50) && wait <= .seconds(5))
                        next.wake()
                        #expect(next.next(now: now) == .wait(until: now + wait.saturatingNanoseconds))
                    } else {
                        let count = step == .askFull ? limit : step == .askAlone ? 1 : step == .askSome ? limit - 1 : 0
                        isAlone = step == .askAlone
                        isCautious = isAlone
                        next.claimed(count, of: limit, isolating: isAlone ? token : nil)
                        delivering += count
                        if step == .askNone {
                            next.idle(claimed: 0, nextDue: .zero, news: news, now: now)
                            if case .claim = next.next(now: now) { Issue.record("asks again at once") }
                            next = state
                            _ = next.next(now: now)
                            next.claimed(0, of: limit, isolating: nil)
                            next.wake()
                            next.idle(claimed: 0, nextDue: nil, news: news, now: now)
                            guard case .claim(let again, _) = next.next(now: now) else {
                                Issue.record("sleeps although it was woken while it asked")
                                continue
                            }
                            next.notClaimed(again)
                        }
                        if step == .askLater { next.idle(claimed: 0, nextDue: .seconds(1000), news: news, now: now) }
                    }
                case .deliver, .deliverRetry:
                    if delivering == 0 { continue }
                    if hanging == delivering {
                        next.returned()
                        hanging -= 1
                    }
                    delivering -= 1
                    next.delivered(retryAfter: step == .deliver ? nil : .nanoseconds(7), now: now)
                case .hang:
                    if hanging == delivering { continue }
                    next.overran(isAlone ? token : otherToken)
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
        let state = RelayState(concurrency: 3, maximumClaim: 2, pollInterval: .seconds(5))
        explore(state, 0, delivering: 0, isDrained: false, depth: 5)
    }

    @Test("no instant or duration overflows")
    func saturates() {
        var state = RelayState(concurrency: .max, maximumClaim: .max, pollInterval: .seconds(Int64.max))
        guard case .claim(let limit, let news) = state.next(now: .max) else { return }
        state.claimed(1, of: limit, isolating: nil)
        state.idle(claimed: 0, nextDue: .seconds(Int64.max), news: news, now: .max)
        state.delivered(retryAfter: .seconds(Int64.max), now: .max)
        #expect(state.inFlight == 0)
    }
}
