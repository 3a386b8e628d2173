// The deadlines of an attempt.

extension Attempt {
    /// The earliest deadline of this attempt and of its enclosing runs of the same task that have not ended, or `Int64.max`.
    var expiry: Int64 {
        var expiry = origin.deadline ?? .max
        for attempt in chain {
            expiry = min(expiry, attempt.deadline ?? .max)
            if let run = attempt.run, run.end == nil { expiry = min(expiry, run.ownDeadline ?? .max) }
        }
        return expiry
    }

    /// The earliest of ``expiry``, the deadlines of the runs that left this attempt behind, and the deadlines of the running
    /// calls that started the task.
    ///
    /// The additional deadlines may bound the inside, but need not.
    var earliestExpiry: Int64 {
        let ended = chain.compactMap { $0.run?.end == nil ? nil : $0.run?.ownDeadline }.min() ?? .max
        return min(expiry, ended, origin.earliestDeadline ?? .max, origin.starter?.expiryUnderWay ?? .max)
    }

    /// The earliest deadline that falls into its run, or into the operation that the run left behind.
    private var expiryUnderWay: Int64 {
        var expiry = min(expiry, origin.starter?.expiryUnderWay ?? .max)
        for attempt in chain {
            guard let run = attempt.run, let end = run.end, let deadline = run.ownDeadline else { continue }
            let last = max(end.at.time, attempt.end?.at.time ?? .max)
            if last >= deadline { expiry = min(expiry, deadline) }
        }
        return expiry
    }

    /// The moment at which the caller, or a hedge with another winner, cancelled this attempt.
    var left: Moment? { ([origin.left] + losses).compactMap(\.self).min() }

    /// The moment at which this attempt was certainly cancelled by `time`, or `nil` if that is not certain.
    ///
    /// Losing attempts of a hedge may continue at the instant of the win and during a stall of the process.
    func certainlyLeft(by time: Int64, stalls: [ClosedRange<Int64>]) -> Moment? {
        let certain = losses.filter { won in
            won.time < time && !stalls.contains { $0.upperBound > won.time && $0.lowerBound <= time }
        }
        return ([origin.left] + certain).compactMap(\.self).min()
    }

    /// The moments at which other attempts won enclosing hedges.
    private var losses: [Moment] {
        chain.compactMap { attempt in
            guard let run = attempt.run, case .hedge = run.layer, let won = run.won,
                attempt.end.map({ $0.at > won }) ?? true
            else { return nil }
            return won
        }
    }

    /// A Boolean value that indicates whether an enclosing layer has ended and left this attempt behind.
    var isLeftBehind: Bool { chain.contains { $0.run?.end != nil } }
}
