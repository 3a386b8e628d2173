package import ReliabilityStore

/// A violation of a store's guarantees.
package struct Violation: Error, CustomStringConvertible {
    package let description: String
    /// The reason of a rejected opening.
    package let reason: StoreError.Reason?
    package init(_ description: String, reason: StoreError.Reason? = nil) {
        self.description = description
        self.reason = reason
    }
}

/// The knowledge of a store's callers, which determines the permitted states after a crash.
package struct DurabilityOracle: Sendable {
    private struct Expected: Sendable {
        var ticket: SimulatedStore.Ticket
        /// The place of the operation in the order of all operations.
        var index: Int
        var isChange: Bool
        var operation: WorkloadOperation
        var time: Int64
        /// The end of the last entry with an absence that the answer shows.
        var shownExpiry: Int64?
    }

    /// The content of the store at the opening and after each later operation.
    package private(set) var states: [ModelStore]
    /// Other permitted states.
    private var alternatives: [ModelStore] = []
    /// The minimum number of operations that must survive.
    private var durableCount = 0
    /// The numbers of operations that contradict an answer that was given.
    private var impossible: Set<Int> = []
    private var expected: [Expected] = []
    /// The earliest possible time of the store's clock in Unix nanoseconds.
    package private(set) var clockFloor: Int64
    /// The latest possible time of the store's clock.
    package private(set) var clockCeiling: Int64
    /// A Boolean value that indicates whether the store may not exist yet.
    package var mayBeNew = false
    /// A Boolean value that indicates whether the store may have been closed.
    package var mayBeClosed = false
    package var isClosed = false

    package init(_ model: ModelStore, openedAt clock: Int64) {
        states = [model]
        clockFloor = clock
        clockCeiling = clock
    }

    /// A Boolean value that indicates whether callers wait for an answer.
    var hasWaiting: Bool { !expected.isEmpty }

    package var model: ModelStore { states[states.count - 1] }

    /// The states that a crash may leave without a loss that a caller could see.
    package var possible: [ModelStore] {
        (durableCount..<states.count).filter { !impossible.contains($0) }.map { states[$0] } + alternatives
    }

    /// Returns the knowledge during an opening, which ends the leases.
    func whileOpened(as model: ModelStore, unixTime: Int64) -> DurabilityOracle {
        var oracle = self
        oracle.mayBeClosed = mayBeClosed || isClosed
        oracle.isClosed = false
        oracle.clockCeiling = max(clockCeiling, unixTime)
        oracle.alternatives.append(model)
        return oracle
    }

    /// The first version that no caller can have seen.
    package var nextVersion: UInt64 { model.nextVersion }

    // MARK: Events

    /// Records that the store's clock may have reached a time.
    mutating func mayHaveReached(_ time: Int64) { clockCeiling = max(clockCeiling, time) }

    /// Records an operation that the store accepted, and compares its answer.
    mutating func submitted(
        _ operation: WorkloadOperation,
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
        // If the store fails now, the caller must get `unknownOutcome`.
        if isChange, !ticket.isChange { throw Violation("\(operation) changed something, and says that it did not") }
        expected.append(
            Expected(
                ticket: ticket,
                index: states.count,
                isChange: isChange,
                operation: operation,
                time: now,
                shownExpiry: ticket.wasDiskFull ? nil : before.expiryShown(by: operation, answer, now: now)
            )
        )
        states.append(after)
        clockCeiling = max(clockCeiling, now)
    }

    /// Checks that an operation without space is an operation that writes something.
    func rejectedForSpace(_ operation: WorkloadOperation, now: Int64) throws(Violation) {
        var after = model
        let answer = after.apply(operation, now: now)
        if answer.showsNoChange {
            throw Violation("\(operation) was rejected for lack of space, and not answered with \(answer)")
        }
    }

    /// Records the answers that callers get now.
    mutating func recordAnswers(of store: SimulatedStore) throws(Violation) {
        if expected.isEmpty { return }
        for expected in expected {
            guard let answer = store.answer(to: expected.ticket) else { continue }
            if answer != expected.ticket.answer {
                throw Violation("\(expected.operation) was answered with \(answer), for no reason")
            }
            record(expected)
        }
        expected.removeAll { store.answer(to: $0.ticket) != nil }
    }

    /// Records a failure of the store, and checks that every waiting caller gets an answer or the failure.
    mutating func failed(_ store: SimulatedStore) throws(Violation) {
        for expected in expected {
            switch store.answer(to: expected.ticket) {
            case expected.ticket.answer: record(expected)
            case .rejected(expected.ticket.isChange ? .unknownOutcome : .failed): break
            case let answer:
                throw Violation("\(expected.operation) was answered with \(answer as Any) by a store that failed")
            }
        }
        expected = []
    }

    private mutating func record(_ expected: Expected) {
        if expected.isChange {
            durableCount = max(durableCount, expected.index)
            clockFloor = max(clockFloor, expected.time)
            return
        }
        // A full store shows earlier writes, but no caller depends on this.
        if case .rejected = expected.ticket.answer { return }
        if let expiry = expected.shownExpiry { clockFloor = max(clockFloor, expiry.multipliedSaturating(1_000_000)) }
        // Nothing that the answer shows may be lost: the surviving operations must give the same answer. A change that
        // the answer reports as done must survive as well, such as a deletion of an entry that was already deleted.
        for count in durableCount..<max(durableCount, expected.index - 1) where !impossible.contains(count) {
            var state = states[count]
            let answer = state.apply(expected.operation, now: expected.time)
            if answer != expected.ticket.answer || !state.hasContent(of: states[count]) {
                impossible.insert(count)
            }
        }
    }
}

extension StoreContent {
    /// Returns a text with the differences.
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

    /// Removes expired entries, as an opening does.
    package mutating func forgetExpired(now: Int64) {
        entries.removeAll { entry in entry.stored.expiresAt.map { $0 <= now / 1_000_000 } ?? false }
    }

    /// Returns the end of the last expired entry with an absence that an answer shows, in Unix milliseconds.
    func expiryShown(by operation: WorkloadOperation, _ answer: StoreAnswer, now: Int64) -> Int64? {
        func last(where isShown: (StoreKey) -> Bool) -> Int64? {
            var last: Int64?
            for entry in entries {
                guard let end = entry.stored.expiresAt, end <= now / 1_000_000, isShown(entry.key) else { continue }
                last = max(last ?? end, end)
            }
            return last
        }
        switch (operation, answer) {
        case (_, .rejected): return nil
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
