import Reliability
import ReliabilityTesting
import Testing

@Suite("LayerAnalysis")
struct LayerAnalysisTests {
    private func pipeline(_ policies: [FakePolicy]) throws(ConfigurationError) -> Pipeline<FakePolicy> {
        try Pipeline(validating: "test") { FakePolicy(layers: policies.flatMap(\.layers)) }
    }

    private func worstCase(_ policies: FakePolicy...) throws -> (Duration?, Int) {
        let worstCase = try pipeline(policies).worstCase
        return (worstCase.duration, worstCase.attempts)
    }

    @Test("retries multiply an inner limit and add their waits, and an outer limit bounds the sum")
    func fold() throws {
        #expect(try worstCase(.timeout(.seconds(2))) == (.seconds(2), 1))
        #expect(try worstCase(.retry(3, waits: .seconds(1)), .timeout(.seconds(2))) == (.seconds(7), 3))
        #expect(
            try worstCase(.timeout(.seconds(8)), .retry(3, waits: .seconds(1)), .timeout(.seconds(2))) == (
                .seconds(7), 3
            )
        )
        #expect(
            try worstCase(.timeout(.seconds(6)), .retry(3, waits: .seconds(1)), .timeout(.seconds(2))) == (
                .seconds(6), 3
            )
        )
    }

    @Test("waits outside of a limit add to the limit, and waits inside are bounded by the limit")
    func waits() throws {
        #expect(try worstCase(.waiting(.seconds(3)), .timeout(.seconds(2))) == (.seconds(5), 1))
        #expect(try worstCase(.timeout(.seconds(2)), .waiting(.seconds(3))) == (.seconds(2), 1))
        #expect(
            try worstCase(.retry(2), .waiting(.seconds(3)), .timeout(.seconds(1))) == (.seconds(8), 2)
        )
    }

    @Test("an unbounded or unknown time has no duration unless a limit encloses the time")
    func unbounded() throws {
        #expect(try worstCase(.retry(2)) == (nil, 2))
        #expect(try worstCase(.waiting(nil), .timeout(.seconds(1))) == (nil, 1))
        #expect(try worstCase(.timeout(.seconds(4)), .waiting(nil)) == (.seconds(4), 1))
        #expect(try worstCase(.timeout(.seconds(4)), .retry(2)) == (.seconds(4), 2))
    }

    @Test("nested retries of a, b and c attempts make a + b + c − 2 attempts")
    func nestedRetries() throws {
        #expect(try worstCase(.retry(3), .retry(4), .timeout(.seconds(1))) == (.seconds(6), 6))
        #expect(try worstCase(.retry(3), .retry(4), .retry(5), .timeout(.seconds(1))) == (.seconds(10), 10))
        #expect(try worstCase(.retry(1), .retry(4), .timeout(.seconds(1))) == (.seconds(4), 4))
        // Every attempt of the outer retry passes a queue between the retries.
        #expect(
            try worstCase(.retry(3), .waiting(.seconds(1)), .retry(4), .timeout(.seconds(1))) == (.seconds(9), 6)
        )
    }

    @Test("a custom policy that repeats its call multiplies the attempts")
    func otherRepeats() throws {
        let twice = FakePolicy(layers: [PolicyLayer(.other, "twice", attempts: 2)])
        #expect(try worstCase(twice, .retry(3), .timeout(.seconds(1))) == (.seconds(6), 6))
        #expect(try worstCase(.retry(3), twice, .timeout(.seconds(1))) == (.seconds(6), 6))
    }

    @Test("a custom retry multiplies the attempts of the library's retry")
    func foreignRetry() throws {
        let foreign = FakePolicy(layers: [PolicyLayer(.retry, "a loop", attempts: 3)])
        #expect(try worstCase(foreign, .retry(4), .timeout(.seconds(1))) == (.seconds(12), 12))
        #expect(try worstCase(.retry(4), foreign, .timeout(.seconds(1))) == (.seconds(12), 12))
        #expect(try worstCase(.retry(2), foreign, .retry(4), .timeout(.seconds(1))) == (.seconds(15), 15))
        #expect(
            try warnings(.retry(4), foreign, .timeout(.seconds(1))) == [
                "retry (2) is inside retry (1): the attempts multiply, and one retry is enough"
            ]
        )
    }

    @Test("extreme figures saturate")
    func saturates() throws {
        let longest = Duration.nanoseconds(Int64.max)
        #expect(try worstCase(.retry(.max), .timeout(.seconds(Int64.max))) == (longest, .max))
        #expect(try worstCase(.retry(.max, waits: .seconds(Int64.max)), .retry(.max)) == (nil, .max))
        let absurd = FakePolicy(
            layers: [PolicyLayer(.other, "", limit: .seconds(Int64.min), attempts: .min, waits: .seconds(Int64.min))]
        )
        #expect(try worstCase(absurd) == (.zero, 0))
        let many = FakePolicy(layers: [PolicyLayer(.other, "", attempts: .max)])
        #expect(try worstCase(many, many, .timeout(.seconds(1))) == (longest, .max))
        #expect(try pipeline([.retry(.max, waits: .seconds(Int64.max)), absurd, many]).explain().isEmpty == false)
    }

    // MARK: Rejections

    private func problems(_ policies: FakePolicy...) -> [String] {
        do throws(ConfigurationError) {
            _ = try pipeline(policies)
            return []
        } catch {
            return error.problems
        }
    }

    @Test("a limit that an outer limit always reaches first is rejected with both durations")
    func unreachableLimit() {
        #expect(
            problems(.timeout(.seconds(2)), .retry(3), .timeout(.seconds(5))) == [
                "the limit of 5 s of timeout (3) is never reached, because timeout (1) around it ends after 2 s"
            ]
        )
        #expect(problems(.timeout(.seconds(2)), .timeout(.seconds(2))).count == 1)
        #expect(problems(.timeout(.seconds(2)), .timeout(.milliseconds(1999))) == [])
        // The shortest outer limit counts, regardless of its place.
        #expect(problems(.timeout(.seconds(9)), .timeout(.seconds(3)), .retry(2), .timeout(.seconds(4))).count == 1)
        #expect(problems(.timeout(.seconds(3)), .timeout(.seconds(9)), .timeout(.seconds(2))).count == 1)
    }

    @Test("the layers of nested pipelines are analyzed together")
    func nestedPipelines() {
        let inner = Pipeline { FakePolicy.timeout(.seconds(10)) }
        #expect(throws: ConfigurationError.self) {
            try Pipeline(validating: "outer") {
                FakePolicy.timeout(.seconds(8))
                inner
            }
        }
    }

    @Test("one breaker twice is rejected")
    func sameBreaker() throws {
        let breaker = Breaker(.failures(3, within: .seconds(60)))
        let error = #expect(throws: ConfigurationError.self) {
            try Pipeline(validating: "payments") {
                breaker
                FakePolicy.timeout(.seconds(1))
                breaker
            }
        }
        #expect(
            error?.problems == ["circuit breaker (1) and circuit breaker (3) are the same, so each call counts twice"]
        )
        #expect(error?.part == "pipeline payments")
        #expect(error?.code == "configuration.invalid")
        #expect(error?.category == .internal)
        #expect(error?.description.contains("payments: circuit breaker (1)") == true)
        _ = try Pipeline(validating: "two") {
            breaker
            Breaker(.failures(3, within: .seconds(60)))
        }
    }

    @Test("one rate limit twice is rejected for one key and accepted for two keys")
    func sameLimit() throws {
        let limiter = Limiter(
            .login,
            keyspace: "logins",
            store: InMemoryStore(),
            storeFailure: .failClosed()
        )
        #expect(throws: ConfigurationError.self) {
            try Pipeline(validating: "twice") {
                limiter.policy(for: ["ann"])
                limiter.policy(for: ["ann"], cost: 2)
            }
        }
        _ = try Pipeline(validating: "two keys") {
            limiter.policy(for: ["ann"])
            limiter.policy(for: ["10.0.0.1"])
        }
    }

    @Test("an invalid pipeline is rejected at construction")
    func traps() async {
        await #expect(processExitsWith: .failure) {
            _ = Pipeline {
                TimeoutPolicy(.seconds(2))
                TimeoutPolicy(.seconds(3))
            }
        }
        let breaker = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let breaker = Breaker(.failures(3, within: .seconds(60)))
            _ = Pipeline("payments") {
                breaker
                breaker
            }
        }
        let text = String(decoding: breaker?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("pipeline payments: circuit breaker (1) and circuit breaker (2)"))
    }

    // MARK: Warnings

    private func warnings(_ policies: FakePolicy...) throws -> [String] { try pipeline(policies).warnings }
    private static let breaker = FakePolicy(layers: [PolicyLayer(.circuitBreaker, "opens")])

    @Test("the recommended order has no warnings")
    func recommended() throws {
        #expect(
            try warnings(.timeout(.seconds(8)), .retry(3, waits: .seconds(1)), Self.breaker, .timeout(.seconds(2)))
                == []
        )
    }

    @Test("a breaker outside of a retry causes a warning")
    func breakerOutside() throws {
        #expect(
            try warnings(Self.breaker, .retry(3), .timeout(.seconds(2))) == [
                "circuit breaker (1) is outside retry (2): the breaker counts whole calls instead of attempts"
            ]
        )
        #expect(try warnings(Self.breaker, .retry(1), .timeout(.seconds(2))) == [])
    }

    @Test("a breaker without a limit inside causes a warning, even under an outer limit")
    func breakerWithoutLimit() throws {
        #expect(
            try warnings(.timeout(.seconds(2)), Self.breaker) == [
                "nothing inside circuit breaker (2) limits time: a dependency that hangs never counts as a failure"
            ]
        )
    }

    @Test("a breaker that the attempts of one call can open causes a warning")
    func oneCallOpens() throws {
        func warnings(_ trip: TripCondition, _ attempts: Int) -> [String] {
            Pipeline {
                TimeoutPolicy(.seconds(60))
                RetryPolicy(.idempotent(maxAttempts: attempts))
                Breaker(Breaker.Configuration(tripCondition: trip))
                TimeoutPolicy(.milliseconds(1))
            }.warnings
        }
        let warning = "the 3 attempts of one call are enough to open circuit breaker (3) for all calls"
        #expect(warnings(.failures(3, within: .seconds(60)), 3) == [warning])
        #expect(warnings(.consecutiveFailures(3), 3) == [warning])
        #expect(warnings(.failureRate(0.5, minCalls: 2, within: .seconds(10)), 3) == [warning])
        #expect(warnings(.consecutiveFailures(4), 3) == [])
        #expect(warnings(.standard, 9) == [])
        #expect(warnings(.standard, 10).count == 1)
        #expect(warnings(.consecutiveFailures(1), 1) == [])
    }

    @Test("a threshold of slow calls that no call passes causes a warning")
    func unreachableSlowThreshold() {
        func warnings(_ threshold: Duration) -> [String] {
            let trip = TripCondition.slowCallRate(0.5, slowerThan: threshold, minCalls: 10, within: .seconds(60))
            return Pipeline("test") {
                Breaker(Breaker.Configuration(tripCondition: trip))
                TimeoutPolicy(.limit(.seconds(2)))
            }.warnings
        }
        #expect(
            warnings(.seconds(2)) == [
                "the limits inside circuit breaker (1) end every call after 2 s, so no call is slower than 2 s"
            ]
        )
        #expect(warnings(.milliseconds(1999)) == [])
    }

    @Test("a wait for a place that makes calls slow causes a warning")
    func waitIsSlow() {
        func warnings(_ bulkhead: BulkheadPolicy.Configuration) -> [String] {
            let trip = TripCondition.slowCallRate(0.5, slowerThan: .seconds(1), minCalls: 10, within: .seconds(60))
            return Pipeline("test") {
                Breaker(Breaker.Configuration(tripCondition: trip))
                BulkheadPolicy(bulkhead)
                TimeoutPolicy(.limit(.seconds(2)))
            }.warnings
        }
        #expect(
            warnings(.limit(1, maxWaiting: 1, maxWait: .seconds(1))) == [
                "a wait of up to 1 s for a place of bulkhead (2) can make calls slow for circuit breaker (1)"
            ]
        )
        #expect(warnings(.limit(1, maxWaiting: 1, maxWait: .milliseconds(999))) == [])
        #expect(warnings(.limit(1)) == [])
    }

    @Test("a retry that waits for an open breaker causes a warning")
    func waitsForBreaker() {
        func warnings(_ wait: Duration, attempts: Int = 3) -> [String] {
            Pipeline {
                RetryPolicy(
                    RetryPolicy.Configuration(.idempotent, maxAttempts: attempts, maxRejectionWait: wait)
                )
                Breaker(.standard)
                TimeoutPolicy(.seconds(2))
            }.warnings
        }
        #expect(
            warnings(.seconds(30)) == [
                "retry (1) waits for up to 30 s while circuit breaker (2) is open: calls do not fail fast"
            ]
        )
        #expect(warnings(.zero) == [])
        #expect(warnings(.seconds(30), attempts: 1) == [])
    }

    @Test("a rate limit around a policy that may reject causes a warning, except around a retry")
    func rejectionAfterCounting() {
        let limiter = Limiter(
            .login,
            keyspace: "calls",
            store: InMemoryStore(),
            storeFailure: .failClosed()
        )
        let (first, second) = (limiter.policy(for: ["ann"]), limiter.policy(for: ["10.0.0.1"]))
        let breaker = Breaker(.standard)
        let limit = TimeoutPolicy(.seconds(2))
        func warnings(_ pipeline: Pipeline<some CallPolicy>) -> [String] { pipeline.warnings }
        #expect(
            warnings(
                Pipeline {
                    first
                    second
                }
            ) == [
                "rate limit (1) counts calls that rate limit (2) inside it may then reject"
            ]
        )
        #expect(
            warnings(
                Pipeline {
                    first
                    BulkheadPolicy(.limit(1))
                }
            ) == [
                "rate limit (1) counts calls that bulkhead (2) inside it may then reject"
            ]
        )
        #expect(
            warnings(
                Pipeline {
                    RetryPolicy(.idempotent)
                    first
                    breaker
                    limit
                }
            ) == [
                "rate limit (2) counts calls that circuit breaker (3) inside it may then reject"
            ]
        )
        #expect(
            warnings(
                Pipeline {
                    first
                    breaker
                    limit
                }
            ).count == 1
        )
        #expect(
            warnings(
                Pipeline {
                    first
                    RetryPolicy(.idempotent)
                    breaker
                    limit
                }
            ) == []
        )
        #expect(
            warnings(
                Pipeline {
                    RetryPolicy(.idempotent)
                    breaker
                    first
                    limit
                }
            ) == []
        )
    }

    @Test("the explanation states the traffic at which a breaker's rule opens")
    func traffic() {
        func notes(_ trip: TripCondition) -> [Substring] {
            Pipeline {
                Breaker(Breaker.Configuration(tripCondition: trip))
                TimeoutPolicy(.seconds(1))
            }.explain().split(separator: "\n")
                .filter { $0.hasPrefix("circuit breaker (1): ") }.map { $0.dropFirst(21) }
        }
        #expect(
            notes(.failures(3, within: .seconds(60))) == [
                "opens at 1 % of errors from 5 calls a second on, however many succeed."
            ]
        )
        #expect(
            notes(.failures(3, within: .seconds(3600))) == [
                "opens at 1 % of errors from one call in 12 s on, however many succeed."
            ]
        )
        #expect(
            notes(.failures(20, within: .seconds(60))) == [
                "opens at 1 % of errors from 34 calls a second on, however many succeed."
            ]
        )
        #expect(
            notes(.failureRate(0.5, minCalls: 20, within: .seconds(10))) == [
                "its failure rate decides from 2 calls a second on; below that it never opens."
            ]
        )
        #expect(
            notes(.standard) == [
                "its failure rate decides from 2 calls a second on, its failures in a row at any traffic."
            ]
        )
        #expect(
            notes(.failureRate(0.5, minCalls: 6, within: .seconds(60)).or(.consecutiveFailures(9))) == [
                "its failure rate decides from one call in 10 s on, its failures in a row at any traffic."
            ]
        )
        #expect(
            notes(.failureRate(0.5, minCalls: 20, within: .seconds(10)).or(.failures(3, within: .seconds(60)))) == [
                "opens at 1 % of errors from 5 calls a second on, however many succeed.",
                "its failure rate decides from 2 calls a second on.",
            ]
        )
        #expect(notes(.consecutiveFailures(5)) == [])
        #expect(notes(.failures(10_000, within: .nanoseconds(1))).count == 1)
        #expect(notes(.failureRate(1, minCalls: .max, within: .seconds(Int64.max))).count == 1)
    }

    @Test("a rate limit that rejects every call causes a warning")
    func nothingThrough() throws {
        let limiter = Limiter(
            .fixedWindow(5, per: .seconds(1)),
            keyspace: "mails",
            store: InMemoryStore(),
            storeFailure: .failClosed()
        )
        for (cost, isUsable) in [(Int.min, false), (0, false), (1, true), (5, true), (6, false), (.max, false)] {
            let pipeline = Pipeline { limiter.policy(for: ["ann"], cost: cost) }
            #expect(pipeline.worstCase.attempts == (isUsable ? 1 : 0))
            #expect(pipeline.warnings == (isUsable ? [] : ["rate limit (1) rejects every call"]))
        }
    }

    @Test("a retry inside a retry causes a warning")
    func retryInRetry() throws {
        #expect(
            try warnings(.retry(3), .retry(2), .timeout(.seconds(2))) == [
                "retry (2) is inside retry (1): the extra attempts add up, and one retry is enough"
            ]
        )
    }

    @Test("attempts or waits that do not fit into an outer limit cause a warning")
    func doNotFit() throws {
        #expect(
            try warnings(.timeout(.seconds(8)), .retry(3, waits: .milliseconds(300)), .timeout(.seconds(3))) == [
                "retry (2) can take 9.3 s, so not all of its 3 attempts fit into the 8 s of timeout (1)"
            ]
        )
        #expect(
            try warnings(.timeout(.seconds(8)), .retry(9, waits: .seconds(12)), .timeout(.seconds(3))) == [
                "the waits of retry (2) can take 12 s, so not all of its 9 attempts fit into the 8 s of timeout (1)"
            ]
        )
        #expect(
            try warnings(.timeout(.seconds(8)), .retry(2)) == [
                "nothing inside retry (2) limits time: one attempt that hangs uses up the 8 s of timeout (1)"
            ]
        )
    }

    // MARK: Text

    @Test("the explanation lists each layer, the worst case and the warnings")
    func explanation() throws {
        let pipeline = try Pipeline(validating: "payments") {
            FakePolicy.timeout(.seconds(8))
            FakePolicy.retry(3, waits: .milliseconds(300))
            Breaker(.failures(3, within: .seconds(60)))
            FakePolicy.timeout(.seconds(3))
        }
        #expect(
            pipeline.explain() == """
                payments
                  1  timeout          cancels after 8 s
                  2  retry            tries 3 times
                  3  circuit breaker  opens after 3 failures in 60 s, for 30 s, then one probe
                  4  timeout          cancels after 3 s
                At worst, a call takes 8 s and makes 3 attempts.
                circuit breaker (3): opens at 1 % of errors from 5 calls a second on, however many succeed.
                Warning: retry (2) can take 9.3 s, so not all of its 3 attempts fit into the 8 s of timeout (1).
                Warning: the 3 attempts of one call are enough to open circuit breaker (3) for all calls.
                """
        )
    }

    @Test("the explanation of the README's pipeline is correct")
    func readme() {
        let breaker = Breaker(.standard)
        let payment = Pipeline("payments") {
            TimeoutPolicy(.externalAPI)
            RetryPolicy(.idempotent(maxAttempts: 3))
            breaker
            TimeoutPolicy(.seconds(2))
        }
        #expect(
            payment.explain() == """
                payments
                  1  timeout          cancels after 8 s
                  2  retry            up to 3 attempts, waits of 100 ms, doubling up to 20 s, full jitter
                  3  circuit breaker  opens after a failure rate of 0.5 over at least 20 calls in 10 s or 10 failures in a row that \
                last 1 s, for 30 s, then one probe
                  4  timeout          cancels after 2 s
                At worst, a call takes 8 s and makes 3 attempts.
                circuit breaker (3): its failure rate decides from 2 calls a second on, its failures in a row at any traffic.
                """
        )
        #expect(payment.worstCase == Pipeline { payment }.worstCase)
    }

    @Test("the explanation mentions unlimited time and unknown waits")
    func unknownTime() throws {
        #expect(
            Pipeline { FakePolicy.retry(1) }.explain() == """
                pipeline
                  1  retry  tries 1 times
                At worst, a call makes 1 attempt and never ends: nothing limits its time.
                """
        )
        let unknown = Pipeline {
            FakePolicy.waiting(nil)
            FakePolicy.timeout(.seconds(1))
        }
        #expect(
            unknown.explain().split(separator: "\n").last
                == "At worst, a call makes 1 attempt; the waits of a queue are not known."
        )
    }

    @Test("every policy of the library summarizes its configuration")
    func summaries() {
        func summary(_ policy: some CallPolicy) -> String { policy.layers.map(\.summary).joined(separator: " | ") }
        #expect(
            summary(
                Breaker(
                    Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(90), probes: 2)
                )
            )
                == "opens after 1 failure, for 90 s, then 2 probes"
        )
        #expect(
            summary(Breaker(.consecutiveFailures(5))) == "opens after 5 failures in a row, for 30 s, then one probe"
        )
        #expect(
            summary(Breaker(.failureRate(0.07, minCalls: 20, within: .seconds(10))))
                == "opens after a failure rate of 0.07 over at least 20 calls in 10 s, for 30 s, then one probe"
        )
        let store = InMemoryStore()
        let windows = Limiter(.login, keyspace: "logins", store: store, storeFailure: .failClosed())
        #expect(
            summary(windows.policy(for: ["secret"]))
                == "5 calls in 15 min, for one key of logins; rejects all calls while its store is down"
        )
        let smooth = Limiter(.gcra(10, per: .seconds(1)), keyspace: "mails", store: store, storeFailure: .failOpen())
        #expect(
            summary(smooth.policy(for: ["secret"], cost: 2))
                == "one call each 100 ms, bursts of 10, 2 for each call, for one key of mails; allows all calls while its "
                + "store is down"
        )
        let local = Limiter(.login, keyspace: "logins", store: store, storeFailure: .localFallback(share: 0.5))
        #expect(
            summary(local.policy(for: ["secret"]))
                == "5 calls in 15 min, for one key of logins; limits each process to 2 calls in 15 min while its store is "
                + "down"
        )
    }
}
