import ReliabilityCore
import ReliabilityTesting
import Testing

@Suite("CallRule")
struct CallRuleTests {
    private func history(_ arrivals: Duration..., caller: String = "") -> CallHistory {
        CallHistory(
            arrivals.enumerated().map { DependencyCall(index: $0, caller: caller, arrival: $1, end: $1 + .seconds(1)) }
        )
    }

    @Test("atMost limits the calls in any window")
    func window() throws {
        let rule = CallRule.atMost(2, within: .seconds(10))
        try history(.zero, .seconds(5), .seconds(10), .seconds(15)).require(rule)
        let violation = history(.zero, .seconds(5), .seconds(10), .seconds(14)).violations(of: rule).first
        #expect(
            violation?.description
                == "at most 2 calls arrive within 10.0 seconds, but 3 arrived, from call 1 at 5.0 seconds"
        )
    }

    @Test("none rejects calls in a half-open range")
    func none() throws {
        let rule = CallRule.none(in: .seconds(5)..<(.seconds(10)))
        try history(.seconds(4), .seconds(10)).require(rule)
        #expect(throws: CallViolation.self) { try history(.seconds(5)).require(rule) }
    }

    @Test("atMostConcurrent limits the calls at the same time")
    func concurrent() throws {
        let calls = [1, 2, 3, 2].enumerated().map { DependencyCall(index: $0, concurrency: $1, arrival: .zero) }
        try CallHistory(calls).require(.atMostConcurrent(3))
        let violation = #expect(throws: CallViolation.self) { try CallHistory(calls).require(.atMostConcurrent(2)) }
        #expect(violation?.found == "3 ran when call 2 arrived at 0.0 seconds")
    }

    @Test("retryAfterIsHonoured applies to the throttled caller only")
    func retryAfter() throws {
        func history(second: Duration, from caller: String) -> CallHistory {
            CallHistory([
                DependencyCall(
                    index: 0,
                    caller: "a",
                    arrival: .seconds(1),
                    end: .seconds(2),
                    outcome: .throttled(retryAfter: .seconds(3))
                ),
                DependencyCall(index: 1, caller: caller, arrival: second),
            ])
        }
        try history(second: .seconds(5), from: "a").require(.retryAfterIsHonoured)
        try history(second: .seconds(3), from: "b").require(.retryAfterIsHonoured)
        #expect(throws: CallViolation.self) {
            try history(second: .seconds(4), from: "a").require(.retryAfterIsHonoured)
        }
        // The second call was sent before the answer of the first.
        try history(second: .milliseconds(1500), from: "a").require(.retryAfterIsHonoured)
    }

    @Test("a custom rule reports its violation")
    func custom() {
        let rule = CallRule("there is a call") { $0.count == 0 ? "there is none" : nil }
        #expect(CallHistory([]).violations(of: rule).map(\.found) == ["there is none"])
        #expect(history(.zero).violations(of: rule) == [])
    }
}
