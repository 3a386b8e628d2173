internal import ReliabilityCore
internal import ReliabilityStore

// Times are microseconds since 1970. The numbers of a script are exact up to 2^53, which is in the year 2255.

extension StoreVersion {
    init(microseconds: Int64) { self.init(rawValue: UInt64(bitPattern: microseconds)) }
}

extension StoreEntry {
    /// Creates an entry from the bytes of the server, or `nil` if the entry has expired.
    init?(stored bytes: [UInt8], at now: Int64) throws(StoreError) {
        guard bytes.count >= 16 else { throw .malformedReply }
        let end = Int64(clamping: bytes.bigEndian(at: 8))
        if end != 0, end <= now { return nil }
        self.init(
            value: Array(bytes[16...]),
            version: StoreVersion(rawValue: UInt64(bytes.bigEndian(at: 0))),
            remaining: end == 0 ? nil : .untilMicrosecond(end, from: now)
        )
    }
}

extension [UInt8] {
    /// Returns the eight bytes from an offset as a number.
    func bigEndian(at offset: Int) -> UInt64 {
        self[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The end of a range of members that begin with these bytes.
    var endOfPrefix: [UInt8] {
        var end = self
        while let last = end.popLast() {
            if last < .max { return [UInt8(ascii: "(")] + end + [last + 1] }
        }
        return [UInt8(ascii: "+")]
    }

    init(_ number: some BinaryInteger) { self = Array(String(number).utf8) }

    init(_ text: String) { self = Array(text.utf8) }
}

extension StoreWrite {
    /// The arguments of the write in the script of commits.
    func arguments(member: [UInt8]) -> [[UInt8]] {
        let kind: String
        let condition: WriteCondition
        var expiry = Expiry.keep
        var value: [UInt8] = []
        switch self {
        case .put(_, let bytes, let life, let c): (kind, value, expiry, condition) = ("put", bytes, life, c)
        case .delete(_, let c): (kind, condition) = ("delete", c)
        case .touch(_, let life, let c): (kind, expiry, condition) = ("touch", life, c)
        case .check(_, let c): (kind, condition) = ("check", c)
        }
        let conditionName: String
        var version: [UInt8] = []
        switch condition {
        case .any: conditionName = "any"
        case .absent: conditionName = "absent"
        case .present: conditionName = "present"
        case .version(let wanted): (conditionName, version) = ("version", Array(wanted.rawValue))
        }
        let life: [UInt8]
        switch expiry {
        case .never: life = Array("never")
        case .keep: life = Array("keep")
        case .after(let duration): life = Array(max(duration, .microseconds(1)).microsecondsUp)
        }
        return [Array(kind), Array(conditionName), version, life, value, member]
    }
}

extension AtomicUpdate {
    /// The kind and the constants of the update in the script of updates.
    var arguments: (kind: [UInt8], constants: [UInt8]) {
        func pack(_ numbers: Int64...) -> [UInt8] {
            numbers.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * Int64($0))) } }
        }
        switch self {
        case .add(let amount, let range, let expiry):
            let life = max(1, expiry.saturatingNanoseconds)
            return (Array("add"), pack(amount, range.lowerBound, range.upperBound, life))
        case .fixedWindow(let length, let limit, let cost):
            let life = max(1, length.saturatingNanoseconds)
            return (Array("window"), pack(Int64(max(0, cost)), .min, Int64(limit), life))
        case .gcra(let interval, let burst, let cost):
            let interval = max(1, interval.saturatingNanoseconds)
            let (need, isTooMuch) = interval.multipliedReportingOverflow(by: Int64(max(0, cost)))
            let capacity = interval.saturatingMultiply(Int64(max(1, burst)))
            return (Array("gcra"), pack(capacity, isTooMuch ? 0 : need, isTooMuch ? 1 : 0))
        }
    }
}

extension Settlement {
    /// The arguments of the settlement in the script of settlements.
    func arguments(queue: Int) -> [[UInt8]] {
        var wait = Duration.zero
        var text = ""
        let kind: String
        switch action {
        case .done: kind = "done"
        case .retry(let after, let countsAttempt): (kind, wait, text) = ("retry", after, countsAttempt ? "1" : "0")
        case .holdBack(let after): (kind, wait) = ("hold", after)
        case .extend(let lease): (kind, wait) = ("extend", lease)
        case .deadLetter(let reason): (kind, text) = ("dead", reason.prefix(bytes: 1024))
        case .redrive: kind = "redrive"
        }
        return [
            Array(queue), Array(id), Array(token.rawValue), Array(kind), Array(wait.microsecondsUp), Array(text),
        ]
    }
}

extension RecordInfo {
    /// Creates a description from the parts of a page.
    init(id: [UInt8], state: [UInt8], payload: [UInt8], at now: Int64) throws(StoreError) {
        guard state.count >= 21 else { throw .malformedReply }
        let due = Int64(clamping: state.bigEndian(at: 8))
        let attempts = state[16..<20].reduce(0) { $0 << 8 | Int($1) }
        let isDeadLetter = state[20] == 2
        let wait = Duration.untilMicrosecond(due, from: now)
        self.init(
            id: String(decoding: id, as: UTF8.self),
            payload: payload,
            version: StoreVersion(rawValue: state.bigEndian(at: 0)),
            attempts: attempts,
            isLeased: state[20] == 1 && due > now,
            due: isDeadLetter ? min(.zero, wait) : wait,
            deadLetterReason: isDeadLetter ? String(decoding: state[21...], as: UTF8.self) : nil
        )
    }
}
