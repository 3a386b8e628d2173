// When an attempt has to be over.

extension Attempt {
    /// The earliest deadline of this attempt and of the runs of the same task around it that have not ended, or `Int64.max`.
    var expiry: Int64 {
        var expiry = origin.deadline ?? .max
        for attempt in chain {
            expiry = min(expiry, attempt.deadline ?? .max)
            if let run = attempt.run, run.end == nil { expiry = min(expiry, run.ownDeadline ?? .max) }
        }
        return expiry
    }

    /// The same, with the deadlines of the runs that have left this attempt behind, and of the calls that started the task
    /// and are still under way.
    ///
    /// These may bound what is inside, and need not.
    var earliestExpiry: Int64 {
        let ended = chain.compactMap { $0.run?.end == nil ? nil : $0.run?.ownDeadline }.min() ?? .max
        return min(expiry, ended, origin.earliestDeadline ?? .max, origin.starter?.expiryUnderWay ?? .max)
    }

    /// The earliest deadline that came, or will come, while its run was under way, or the operation that it left behind.
    private var expiryUnderWay: Int64 {
        var expiry = min(expiry, origin.starter?.expiryUnderWay ?? .max)
        for attempt in chain {
            guard let run = attempt.run, let end = run.end, let deadline = run.ownDeadline else { continue }
            let last = max(end.at.time, attempt.end?.at.time ?? .max)
            if last >= deadline { expiry = min(expiry, deadline) }
        }
        return expiry
    }

    /// When the caller cancelled this attempt, or a hedge may have that another attempt won.
    var left: Moment? { ([origin.left] + losses).compactMap(\.self).min() }

    /// When it was certainly cancelled by `time`.
    ///
    /// At the instant at which a hedge is won, its other attempts may go on, and while the process stands still.
    func certainlyLeft(by time: Int64, stalls: [ClosedRange<Int64>]) -> Moment? {
        let certain = losses.filter { won in
            won.time < time && !stalls.contains { $0.upperBound > won.time && $0.lowerBound <= time }
        }
        return ([origin.left] + certain).compactMap(\.self).min()
    }

    /// When hedges around were won by other attempts.
    private var losses: [Moment] {
        chain.compactMap { attempt in
            guard let run = attempt.run, case .hedge = run.layer, let won = run.won,
                attempt.end.map({ $0.at > won }) ?? true
            else { return nil }
            return won
        }
    }

    /// Whether a layer around has ended and left this attempt behind.
    var isLeftBehind: Bool { chain.contains { $0.run?.end != nil } }
}
