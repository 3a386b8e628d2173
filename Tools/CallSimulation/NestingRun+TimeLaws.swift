import Reliability
import ReliabilityCore
import Timeout

// The laws about time: the errors of limits and the ends of calls.

extension NestingRun {
    func judgeTime(_ run: Run) {
        if case .abandoning = run.layer { return }
        let busy = max(run.began.time, run.busyUntil, stalledUntil)
        if let limit = run.ownDeadline {
            let due = min(limit, run.outer.expiry)
            expect(now <= max(due, busy), .returnsInTime, "\(text(run)) ended at \(ms(now)), due at \(ms(due))")
        }
        if let left = run.outer.left, nesting.outage == nil || !run.usesStore {
            expect(
                now <= max(left.time, busy, run.busyForCallerUntil),
                .returnsInTime,
                "\(text(run)) ended at \(ms(now)), its caller left at \(ms(left.time))"
            )
        }
    }

    func judgeTimeout(_ run: Run, _ how: End) {
        let hasDefault = if case .timeoutOrDefault = run.layer { true } else { false }
        let limit = run.ownDeadline ?? .max
        let expiry = min(limit, run.outer.expiry)
        let earliest = min(limit, run.outer.earliestExpiry)
        guard let attempt = run.attempts.first else {
            expect(
                earliest <= run.began.time,
                earliest == expiry ? .clockDecides : .deadlineEndsWithCall,
                "\(text(run)) did not begin its operation and \(text(how)), the deadline was at \(ms(earliest))"
            )
            switch how {
            case .returned(let value):
                expect(hasDefault && value == NestingRun.defaultValue, .clockDecides, "\(text(run)) returned \(value)")
            case .threw(let error):
                if hasDefault {
                    expect(false, .answersAtDeadline, "\(text(run)) \(text(how)) when no time was left")
                } else {
                    expect(error is TimeoutError, .clockDecides, "\(text(run)) \(text(how)) when no time was left")
                }
            }
            return
        }
        guard let end = attempt.end else {
            return expect(false, .everyCallEnds, "\(text(run)) ended before its operation")
        }
        guard let thrown = end.how.error else {
            return expect(
                how.value == end.how.value,
                .clockDecides,
                "\(text(run)) \(text(how)), its operation returned"
            )
        }
        let time = end.at.time
        let left = run.outer.left.flatMap { $0 < end.at ? $0.time : nil } ?? .max
        func story() -> String {
            "\(text(run)) \(text(how)), its operation threw \(label(thrown)) at \(ms(time)), "
                + "the deadline was at \(ms(expiry))" + (left == .max ? "" : ", the caller left at \(ms(left))")
        }
        // After a stall it is unknown whether the operation ended before or after the stall.
        let seen = max(time, stalledUntil)
        let isExpired: Bool
        switch how {
        case .returned(let value):
            isExpired = true
            expect(hasDefault && value == NestingRun.defaultValue, .clockDecides, story())
        case .threw(let error):
            // The error may be the operation's own error.
            let isOwn = seen >= earliest && left >= earliest && (seen >= expiry || !isSame(error, thrown))
            isExpired = error is TimeoutError && (isOwn || !(thrown is TimeoutError))
            expect(isExpired || isSame(error, thrown), .errorNamesPolicy, story())
            if hasDefault, time >= expiry, left > expiry { expect(false, .answersAtDeadline, story()) }
        }
        if isExpired {
            // The limits of an operation that was left behind depend on the enclosing calls that have ended.
            if case .threw(let error as TimeoutError) = how, !run.outer.isLeftBehind {
                let named = reading(of: error.deadline)
                expect(
                    named >= earliest && named <= max(expiry, earliest),
                    .errorNamesPolicy,
                    "\(story()), and names \(ms(named))"
                )
            }
            let certainlyLeft = run.outer.certainlyLeft(by: time, stalls: stalls)?.time ?? .max
            let wasExpired = seen >= earliest && certainlyLeft >= earliest
            let isOverdue = run.origin.starter == nil || expiry != limit || time >= limit
            expect(wasExpired, isOverdue ? .clockDecides : .deadlineEndsWithCall, story())
        } else {
            expect(time < expiry || left <= expiry, .clockDecides, story())
        }
    }

    func judgeAbandoning(_ run: Run, _ how: End, _ grace: Duration) {
        // Nothing inside interrupts the grace.
        run.outer.cannotBeInterrupted(until: now)
        let grace = Int64(grace / .nanoseconds(1))
        let limit = run.ownDeadline ?? .max
        let expiry = min(limit, run.outer.expiry)
        let earliest = min(limit, run.outer.earliestExpiry)
        let left = run.outer.left?.time ?? .max
        let attempt = run.attempts.first
        let end = attempt?.end
        func story() -> String {
            "\(text(run)) \(text(how)) at \(ms(now)), its operation "
                + (end.map { "\(text($0.how)) at \(ms($0.at.time))" } ?? (attempt == nil ? "did not begin" : "runs on"))
                + ", the deadline was at \(ms(expiry))" + (left == .max ? "" : ", the caller left at \(ms(left))")
        }
        let due = min(expiry, left)
        if due != .max {
            expect(
                now <= max(due.saturatingAdd(grace), run.began.time.saturatingAdd(grace), stalledUntil),
                .returnsInTime,
                story()
            )
        }
        switch how {
        case .returned(let value):
            expect(end?.how.value == value, .errorNamesPolicy, story())
        case .threw(let error as TimeoutError):
            if let thrown = end?.how.error as? TimeoutError, now < earliest || left < earliest {
                // The error is the operation's own error.
                return expect(isSame(error, thrown), .errorNamesPolicy, story())
            }
            let certainlyLeft = run.outer.certainlyLeft(by: now, stalls: stalls)?.time ?? .max
            expect(now >= earliest && certainlyLeft >= earliest, .clockDecides, story())
            if error.isAbandoned, error.underlyingError == nil, now > stalledUntil {
                expect(now >= earliest.saturatingAdd(grace), .returnsInTime, story())
            }
        case .threw(let error):
            if let end, let thrown = end.how.error, isSame(error, thrown) {
                expect(end.at.time < expiry || left <= expiry, .clockDecides, story())
            } else {
                let isCancelled = left <= expiry || run.outer.isLeftBehind
                expect(error is CancellationError && isCancelled, .clockDecides, story())
            }
        }
    }

    /// The clock's reading at a deadline, whose time source may have another origin.
    private func reading(of deadline: Deadline) -> Int64 {
        deadline.instant.saturatingSubtract(deadline.timeSource.now).saturatingAdd(now)
    }

    // MARK: Tasks that a call left behind

    /// Judges the current deadline of a task that a call left behind.
    func judgeDeadline(in origin: Origin) {
        let found = Deadline.current.map(reading)
        var certain: [Int64] = []
        var possible: [ClosedRange<Int64>] = []
        var next = origin.starter
        while let attempt = next {
            let isOver = (attempt.end != nil, attempt.run?.end != nil)
            for deadline in [attempt.deadline, attempt.run?.ownDeadline].compactMap(\.self) {
                switch isOver {
                case (false, false): certain.append(deadline)
                // The end has not reached the caller yet, or the caller has abandoned the attempt.
                case (true, false), (false, true): possible.append(deadline...deadline)
                case (true, true): break
                }
            }
            if attempt.run == nil {
                if let deadline = attempt.origin.deadline {
                    if attempt.end == nil { certain.append(deadline) }
                    possible.append((attempt.origin.earliestDeadline ?? deadline)...deadline)
                }
                next = attempt.origin.starter
            } else {
                next = attempt.run?.outer
            }
        }
        let isPossible = found.map { found in possible.contains { $0.contains(found) } } ?? false
        let isRight = found == certain.min() || isPossible
        expect(
            isRight,
            .deadlineEndsWithCall,
            "a task that a call left behind has \(found.map { "the deadline \(ms($0))" } ?? "no deadline") at \(ms(now)), "
                + "the calls under way have \(certain.map(ms))"
        )
    }
}
