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
        return min(expiry, ended, origin.starter?.expiryUnderWay ?? .max)
    }

    /// The earliest deadline that came, or will come, while its run was under way.
    private var expiryUnderWay: Int64 {
        var expiry = min(expiry, origin.starter?.expiryUnderWay ?? .max)
        for attempt in chain {
            guard let run = attempt.run, let end = run.end, let deadline = run.ownDeadline else { continue }
            if end.at.time >= deadline { expiry = min(expiry, deadline) }
        }
        return expiry
    }

    /// When the caller, or a hedge that another attempt won, cancelled this attempt.
    var left: Moment? {
        var left = origin.left
        for attempt in chain {
            guard let run = attempt.run, case .hedge = run.layer, let won = run.won,
                attempt.end.map({ $0.at > won }) ?? true
            else { continue }
            left = min(left ?? won, won)
        }
        return left
    }

    /// Whether a layer around has ended and left this attempt behind.
    var isLeftBehind: Bool { chain.contains { $0.run?.end != nil } }
}
