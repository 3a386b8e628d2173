internal import ReliabilityCore

extension TripCondition {
    /// A short description of the rules.
    var summary: String {
        var rules: [String] = []
        if let failureRate { rules.append("a failure rate of \(failureRate.summary)") }
        let slow = slowThreshold.map { "calls slower than \($0.text)" } ?? ""
        if let slowCallRate { rules.append("a rate of \(slow) of \(slowCallRate.summary)") }
        if let slowOrFailedRate { rules.append("a rate of failures and \(slow) of \(slowOrFailedRate.summary)") }
        if let failures { rules.append("\(failures.count) failures in \(failures.window.text)") }
        if let consecutiveFailures {
            let (count, duration) = (consecutiveFailures.count, consecutiveFailures.duration)
            let failures = count == 1 ? "1 failure" : "\(count) failures in a row"
            rules.append(duration > .zero ? "\(failures) that last \(duration.text)" : failures)
        }
        return rules.joined(separator: " or ")
    }

    /// The smallest number of failures that opens the breaker if no call succeeds.
    var leastFailures: Int {
        [consecutiveFailures?.count, failures?.count, failureRate?.minCalls, slowOrFailedRate?.minCalls]
            .compactMap(\.self).min() ?? .max
    }

    /// The traffic at which the rules open the breaker, as sentences without a full stop.
    var traffic: [String] {
        var sentences: [String] = []
        if let failures, failures.count > 1 {
            // With 1 % of errors, this number of calls contains the failures.
            let calls = Int64(failures.count).saturatingMultiply(100)
            let callRate = callRateText(calls, in: failures.window)
            sentences.append("opens at 1 % of errors from \(callRate) on, however many succeed")
        }
        if let failureRate, failureRate.minCalls > 1, case .time(let window) = failureRate.window {
            let callRate = callRateText(Int64(failureRate.minCalls), in: window)
            var sentence = "its failure rate decides from \(callRate) on"
            if consecutiveFailures != nil {
                sentence += ", its failures in a row at any traffic"
            } else if failures == nil, slowOrFailedRate == nil {
                sentence += "; below that it never opens"
            }
            sentences.append(sentence)
        }
        return sentences
    }

    /// Returns a readable call rate for a number of calls in a window, rounded up.
    private func callRateText(_ calls: Int64, in window: Duration) -> String {
        let nanoseconds = max(1, window.saturatingNanoseconds)
        // Rounded up to whole calls a second.
        let perSecond = (calls.saturatingMultiply(1_000_000_000).saturatingSubtract(1)) / nanoseconds + 1
        if perSecond > 1 { return "\(perSecond) calls a second" }
        return "one call in \(Duration.nanoseconds(nanoseconds / calls).text)"
    }
}

extension TripCondition.Rate {
    fileprivate var summary: String {
        switch window {
        case .time(let length): "\(share) over at least \(minCalls) calls in \(length.text)"
        case .calls(let count): "\(share) over at least \(minCalls) of the last \(count) calls"
        }
    }
}
