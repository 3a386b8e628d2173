public import ReliabilityCore

extension TripCondition {
    /// Checks every value.
    ///
    /// - Throws: `ConfigurationError` with every problem.
    public func validate() throws(ConfigurationError) {
        var problems = ConfigurationProblems("trip condition")
        problems.require(!hasDuplicate, "a breaker has at most one rule of each kind (two of one kind were combined)")
        problems.require(
            !hasTwoThresholds,
            "the rules for slow calls must have one threshold (two thresholds were combined)"
        )
        if let consecutiveFailures {
            let (count, duration) = (consecutiveFailures.count, consecutiveFailures.duration)
            problems.require(count >= 1, "the number of consecutive failures must be at least 1 (is \(count))")
            problems.require(
                duration >= .zero,
                "the duration of consecutive failures must not be negative (is \(duration))"
            )
        }
        if let failures {
            let (count, window) = (failures.count, failures.window)
            problems.require(
                (1...10_000).contains(count),
                "the number of failures must be from 1 to 10,000 (is \(count))"
            )
            problems.require(window > .zero, "the window of failures must be positive (is \(window))")
        }
        if let slowThreshold {
            problems.require(
                slowThreshold > .zero,
                "the threshold of slow calls must be positive (is \(slowThreshold))"
            )
        }
        failureRate?.validate("failure rate", &problems)
        slowCallRate?.validate("slow-call rate", &problems)
        slowOrFailedRate?.validate("slow-or-failed rate", &problems)
        try problems.throwIfAny()
    }
}

extension TripCondition.Rate {
    fileprivate func validate(_ name: String, _ problems: inout ConfigurationProblems) {
        problems.require(share > 0 && share <= 1, "the \(name) must be above 0 and at most 1 (is \(share))")
        problems.require(minCalls >= 1, "minCalls of the \(name) must be at least 1 (is \(minCalls))")
        switch window {
        case .time(let length):
            problems.require(length > .zero, "the window of the \(name) must be positive (is \(length))")
        case .calls(let count):
            problems.require(
                (1...10_000).contains(count),
                "the number of calls of the \(name) must be from 1 to 10,000 (is \(count))"
            )
            problems.require(
                minCalls <= count,
                "minCalls of the \(name) must be at most its number of calls, \(count) (is \(minCalls))"
            )
        }
    }
}
