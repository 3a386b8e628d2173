import ReliabilityCore
import Testing

@testable import ReliabilityStore

@Suite("StoreBreakerStateMachine")
struct StoreBreakerStateMachineTests {
    /// A model with a count of consecutive failures.
    private struct Model {
        var failuresInARow = 0
        var lastFailureOrProbe = Int64.min / 2

        mutating func admit(_ now: Int64) -> Bool {
            if failuresInARow < 2 { return true }
            // A clock that went back must not extend the wait beyond the interval.
            let since = now - lastFailureOrProbe
            guard since >= 10 || since < 0 else { return false }
            lastFailureOrProbe = now
            return true
        }
    }

    @Test("every sequence of six events matches a model")
    func exhaustive() {
        enum Event: CaseIterable { case success, failure, ignored, wait, longWait, back, ask }
        func explore(_ breaker: StoreBreakerStateMachine, _ model: Model, _ now: Int64, _ depth: Int) {
            for event in Event.allCases {
                var (breaker, model, now) = (breaker, model, now)
                switch event {
                case .success:
                    breaker.record(.success, now: now)
                    model.failuresInARow = 0
                case .failure:
                    breaker.record(.failure, now: now)
                    model.failuresInARow += 1
                    if model.failuresInARow >= 2 { model.lastFailureOrProbe = now }
                case .ignored: breaker.record(.ignored, now: now)
                case .wait: now += 6
                case .longWait: now += 10
                case .back: now -= 7
                case .ask:
                    let wait = breaker.admit(now: now)
                    #expect((wait == nil) == model.admit(now))
                    if let wait { #expect((1...10).contains(wait)) }
                }
                if depth < 6 { explore(breaker, model, now, depth + 1) }
            }
        }
        explore(StoreBreakerStateMachine(threshold: 2, interval: .nanoseconds(10)), Model(), 1000, 1)
    }

    @Test("extreme instants neither trap nor block forever")
    func extremes() {
        var breaker = StoreBreakerStateMachine(threshold: 1, interval: .seconds(1))
        for now in [Int64.max, .min, 0, .max] {
            breaker.record(.failure, now: now)
            _ = breaker.admit(now: now)
            #expect(breaker.admit(now: now.saturatingAdd(1_000_000_000)) == nil)
        }
    }
}
