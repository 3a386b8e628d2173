import Bulkhead
import ReliabilityCore
import Timeout

// The laws about the places of bulkheads.

extension NestingRun {
    /// Judges the beginning of a call in a bulkhead.
    func judgePlace(for attempt: Attempt, _ number: Int) {
        let shape = nesting.bulkheads[number]
        guard let run = attempt.run else { return }
        let others = runs.filter { $0.layer == run.layer && $0 !== run }
        let kept = abandonedWork.reduce(into: Set<ObjectIdentifier>()) { kept, work in
            for attempt in work.outer.chain { kept.insert(ObjectIdentifier(attempt)) }
        }
        let running = others.compactMap(\.attempts.first)
            .filter { $0.end == nil || kept.contains(ObjectIdentifier($0)) }
        expect(
            running.count < shape.places,
            .keepsPlaces,
            "\(text(run)) began its operation at \(ms(now)) while \(running.count) calls had the \(shape.places) places"
        )
        judgeWait(run)
        if shape.places > 1 { return }
        let passed = others.first { other in
            other.attempts.isEmpty && other.end == nil && other.began < run.began && other.outer.left == nil
                && other.outer.earliestExpiry == .max && now - other.began.time < Int64(shape.wait / .nanoseconds(1))
        }
        guard let passed else { return }
        expect(false, .keepsOrder, "\(text(run)) began its operation at \(ms(now)) before \(text(passed))")
    }

    /// Judges the end of the wait of a call in a bulkhead.
    func judgeWait(_ run: Run) {
        guard case .bulkhead(let number) = run.layer, run.attempts.isEmpty else { return }
        let due = run.began.time + Int64(nesting.bulkheads[number].wait / .nanoseconds(1))
        expect(now <= max(due, stalledUntil), .returnsInTime, "\(text(run)) waited until \(ms(now)), due at \(ms(due))")
    }

    /// The runs whose operation runs on after their end.
    private var abandonedWork: [Run] {
        runs.filter { run in
            guard case .abandoning = run.layer, run.end != nil else { return false }
            return run.attempts.contains { $0.end == nil }
        }
    }

    /// Judges the places after the end of all calls.
    func judgePlaces() {
        if abandonedOperations.count > 0 { return }
        for (number, bulkhead) in bulkheads.enumerated() {
            let snapshot = bulkhead.snapshot
            expect(
                snapshot.running == 0 && snapshot.waiting == 0,
                .keepsPlaces,
                "\(snapshot.running) calls run and \(snapshot.waiting) wait in bulkhead \(number) after all calls have ended"
            )
        }
    }
}
