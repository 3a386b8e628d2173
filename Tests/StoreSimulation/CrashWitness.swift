package import ReliabilityStore

/// Something that a store must never do.
package struct Violation: Error, CustomStringConvertible {
    package let description: String
    /// Why the store refused to be opened.
    package let reason: StoreError.Reason?
    package init(_ description: String, reason: StoreError.Reason? = nil) {
        self.description = description
        self.reason = reason
    }
}

/// What the callers of a store know, and what must therefore be there after a crash.
package struct CrashWitness: Sendable {
    private struct Expected: Sendable {
        var ticket: SimulatedStore.Ticket
        /// Its place in the order of all operations.
        var index: Int
        var isChange: Bool
        var operation: StoreOperation
        var time: Int64
        /// When the last entry ended whose absence the answer shows.
        var shownExpiry: Int64?
    }

    /// What the store held when it was opened, and after each operation since.
    package private(set) var states: [ModelStore]
    /// What it may hold besides.
    private var alternatives: [ModelStore] = []
    /// The least number of operations that must be there.
    private var sure = 0
    /// Numbers of operations with which an answer that was told would not have been true.
    private var impossible: Set<Int> = []
    private var expected: [Expected] = []
    /// What the store's clock must have reached, in Unix nanoseconds.
    package private(set) var clockFloor: Int64
    /// What it cannot have passed.
    package private(set) var clockCeiling: Int64
    /// Whether there may be no store yet.
    package var mayBeNew = false
    /// Whether the store may have been closed, and whether it surely was.
    package var mayBeClosed = false
    package var isClosed = false

    package init(_ model: ModelStore, openedAt clock: Int64) {
        states = [model]
        clockFloor = clock
        clockCeiling = clock
    }

    /// Whether callers wait for an answer.
    var hasWaiting: Bool { !expected.isEmpty }

    package var model: ModelStore { states[states.count - 1] }

    /// What a crash may leave without losing anything that anybody knows of.
    package var possible: [ModelStore] {
        (sure..<states.count).filter { !impossible.contains($0) }.map { states[$0] } + alternatives
    }

    /// What is known while a store is opened, and its leases end.
    func whileOpened(as model: ModelStore, unixTime: Int64) -> CrashWitness {
        var witness = self
        witness.mayBeClosed = mayBeClosed || isClosed
        witness.isClosed = false
        witness.clockCeiling = max(clockCeiling, unixTime)
        witness.alternatives.append(model)
        return witness
    }

    /// The first version that nobody can have seen.
    package var nextVersion: UInt64 { model.nextVersion }

    // MARK: What happens

    /// Takes note that the store was being opened at a time.
    mutating func mayHaveReached(_ time: Int64) { clockCeiling = max(clockCeiling, time) }

    /// Takes note of an operation that the store took, and compares its answer.
    mutating func submitted(
        _ operation: StoreOperation,
        _ ticket: SimulatedStore.Ticket,
        now: Int64
    ) throws(Violation) {
        let before = model
        var after = before
        let answer = after.apply(operation, now: now)
        if ticket.answer != answer {
            throw Violation("\(operation) was answered with \(ticket.answer), not \(answer)")
        }
        let isChange = !after.hasContent(of: before)
        // Should the store fail now, the caller has to hear that nobody knows whether it was made.
        if isChange, !ticket.isChange { throw Violation("\(operation) changed something, and says that it did not") }
        expected.append(
            Expected(
                ticket: ticket,
                index: states.count,
                isChange: isChange,
                operation: operation,
                time: now,
                shownExpiry: ticket.hadNoRoom ? nil : before.expiryShown(by: operation, answer, now: now)
            )
        )
        states.append(after)
        clockCeiling = max(clockCeiling, now)
    }

    /// Takes note that there was no space for an operation: only for one that writes something.
    func refusedForSpace(_ operation: StoreOperation, now: Int64) throws(Violation) {
        var after = model
        let answer = after.apply(operation, now: now)
        if answer.showsNoChange {
            throw Violation("\(operation) was refused for lack of space, and not answered with \(answer)")
        }
    }

    /// Takes note of what callers are told now.
    mutating func told(by store: SimulatedStore) throws(Violation) {
        if expected.isEmpty { return }
        for expected in expected {
            guard let answer = store.told(expected.ticket) else { continue }
            if answer != expected.ticket.answer {
                throw Violation("\(expected.operation) was answered with \(answer), for no reason")
            }
            note(expected)
        }
        expected.removeAll { store.told($0.ticket) != nil }
    }

    /// Takes note that the store failed: who is not told an answer now is told that.
    mutating func failed(_ store: SimulatedStore) throws(Violation) {
        for expected in expected {
            switch store.told(expected.ticket) {
            case expected.ticket.answer: note(expected)
            case .refused(expected.ticket.isChange ? .unknownOutcome : .failed): break
            case let answer:
                throw Violation("\(expected.operation) was answered with \(answer as Any) by a store that failed")
            }
        }
        expected = []
    }

    private mutating func note(_ expected: Expected) {
        if expected.isChange {
            sure = max(sure, expected.index)
            clockFloor = max(clockFloor, expected.time)
            return
        }
        // That a store is full shows what others wrote; nobody acts on it.
        if case .refused = expected.ticket.answer { return }
        if let expiry = expected.shownExpiry { clockFloor = max(clockFloor, expiry.multipliedSaturating(1_000_000)) }
        // Nothing that it shows may get lost: with fewer operations the answer would have been the same. Nor what it
        // says to be done: a deletion of what was deleted already, say, would have had nothing to do.
        for count in sure..<max(sure, expected.index - 1) where !impossible.contains(count) {
            var state = states[count]
            let answer = state.apply(expected.operation, now: expected.time)
            if answer != expected.ticket.answer || !state.hasContent(of: states[count]) {
                impossible.insert(count)
            }
        }
    }
}

extension StoreContent {
    /// What one of them has and the other has not, in words.
    func difference(to other: StoreContent) -> String {
        func only(_ left: StoreContent, _ right: StoreContent) -> [String] {
            left.entries.filter { !right.entries.contains($0) }.map { "\($0.key.encoded): \($0.stored)" }
                + left.records.filter { !right.records.contains($0) }.map { "\($0)" }
        }
        let text = "there is \(only(self, other)), not \(only(other, self))"
        return text.replacing("StoreSimulation.", with: "").replacing("ReliabilityStore.", with: "")
    }
}

extension ModelStore {
    func hasContent(of other: ModelStore) -> Bool { entries == other.entries && records == other.records }

    /// Forgets what has expired, as a store does that is opened.
    package mutating func forgetExpired(now: Int64) {
        entries.removeAll { entry in entry.stored.expiresAt.map { $0 <= now / 1_000_000 } ?? false }
    }

    /// When the last entry ended that has expired, and whose absence an answer shows; in Unix milliseconds.
    func expiryShown(by operation: StoreOperation, _ answer: StoreAnswer, now: Int64) -> Int64? {
        func last(where isShown: (StoreKey) -> Bool) -> Int64? {
            var last: Int64?
            for entry in entries {
                guard let end = entry.stored.expiresAt, end <= now / 1_000_000, isShown(entry.key) else { continue }
                last = max(last ?? end, end)
            }
            return last
        }
        switch (operation, answer) {
        case (_, .refused): return nil
        case (.get(let keys), _): return last(where: keys.contains)
        case (.scan(let prefix, let after, _), .scanned(_, let next)):
            return last { key in
                key.hasPrefix(prefix) && (after.map { $0 < key } ?? true) && (next.map { key <= $0 } ?? true)
            }
        case (.commit(let writes, _), .commit(.conflict(let index, _))):
            return last(where: writes[...index].map(\.key).contains)
        case (.commit(let writes, _), _): return last(where: writes.map(\.key).contains)
        case (.update(let updates), _): return last(where: updates.map(\.key).contains)
        default: return nil
        }
    }
}

extension Int64 {
    func subtractedSaturating(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? self < 0 ? .min : .max : difference
    }

    func multipliedSaturating(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? (self < 0) == (other < 0) ? .max : .min : product
    }
}
