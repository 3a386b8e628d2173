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
        var number: UInt64 = 0
        for index in offset..<offset + 8 { number = number << 8 | UInt64(self[index]) }
        return number
    }

    /// The end of a range of members that begin with these bytes.
    var endOfPrefix: [UInt8] {
        var end = self
        while let last = end.popLast() {
            if last < .max { return [UInt8(ascii: "(")] + end + [last + 1] }
        }
        return [UInt8(ascii: "+")]
    }

    /// Creates the decimal digits of a number.
    init(_ number: some BinaryInteger) {
        self = []
        reserveCapacity(20)
        if number < 0 { append(UInt8(ascii: "-")) }
        append(decimal: UInt64(number.magnitude))
    }

    init(_ text: String) { self = Array(text.utf8) }

    /// Appends the decimal digits of a number.
    mutating func append(decimal number: UInt64) {
        if number >= 10 { append(decimal: number / 10) }
        append(UInt8(ascii: "0") + UInt8(number % 10))
    }
}

extension Int64 {
    /// Creates a number from its decimal digits with an optional sign, or `nil` for other bytes or too large a number.
    init?(decimal bytes: ArraySlice<UInt8>) {
        guard let first = bytes.first else { return nil }
        let isNegative = first == UInt8(ascii: "-")
        let digits = isNegative || first == UInt8(ascii: "+") ? bytes.dropFirst() : bytes
        if digits.isEmpty { return nil }
        var number: Int64 = 0
        for byte in digits {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let digit = Int64(byte - UInt8(ascii: "0"))
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            // The negative numbers have one number more.
            let (sum, overflows) = tens.addingReportingOverflow(isNegative ? -digit : digit)
            if isTooLarge || overflows { return nil }
            number = sum
        }
        self = number
    }
}

/// Parts of commands that are allocated once.
enum Word {
    static let evalSHA = Array("EVALSHA")
    static let eval = Array("EVAL")
    static let put = Array("put")
    static let delete = Array("delete")
    static let touch = Array("touch")
    static let check = Array("check")
    static let any = Array("any")
    static let absent = Array("absent")
    static let present = Array("present")
    static let version = Array("version")
    static let never = Array("never")
    static let keep = Array("keep")
    static let add = Array("add")
    static let window = Array("window")
    static let gcra = Array("gcra")
    private static let smallNumbers = (0..<16).map { Array<UInt8>($0) }

    /// The digits of a number.
    static func number(_ number: Int) -> [UInt8] {
        smallNumbers.indices.contains(number) ? smallNumbers[number] : Array(number)
    }
}

extension StoreWrite {
    /// Appends the arguments of the write in the script of commits.
    func append(to arguments: inout [[UInt8]], member: [UInt8]) {
        switch self {
        case .put(_, let value, let expiry, let condition):
            arguments.append(Word.put)
            Self.append(condition, expiry, value, member, to: &arguments)
        case .delete(_, let condition):
            arguments.append(Word.delete)
            Self.append(condition, .keep, [], member, to: &arguments)
        case .touch(_, let expiry, let condition):
            arguments.append(Word.touch)
            Self.append(condition, expiry, [], member, to: &arguments)
        case .check(_, let condition):
            arguments.append(Word.check)
            Self.append(condition, .keep, [], member, to: &arguments)
        }
    }

    private static func append(
        _ condition: WriteCondition,
        _ expiry: Expiry,
        _ value: [UInt8],
        _ member: [UInt8],
        to arguments: inout [[UInt8]]
    ) {
        var version: [UInt8] = []
        switch condition {
        case .any: arguments.append(Word.any)
        case .absent: arguments.append(Word.absent)
        case .present: arguments.append(Word.present)
        case .version(let wanted):
            arguments.append(Word.version)
            version = Array(wanted.rawValue)
        }
        arguments.append(version)
        switch expiry {
        case .never: arguments.append(Word.never)
        case .keep: arguments.append(Word.keep)
        case .after(let duration): arguments.append(Array(max(duration, .microseconds(1)).microsecondsUp))
        }
        arguments.append(value)
        arguments.append(member)
    }
}

extension AtomicUpdate {
    /// The kind and the constants of the update in the script of updates.
    var arguments: (kind: [UInt8], constants: [UInt8]) {
        switch self {
        case .add(let amount, let range, let expiry):
            let life = max(1, expiry.saturatingNanoseconds)
            return (Word.add, Self.packed(amount, range.lowerBound, range.upperBound, life))
        case .fixedWindow(let length, let limit, let cost):
            let life = max(1, length.saturatingNanoseconds)
            return (Word.window, Self.packed(Int64(max(0, cost)), .min, Int64(limit), life))
        case .gcra(let interval, let burst, let cost):
            let interval = max(1, interval.saturatingNanoseconds)
            let (need, isTooMuch) = interval.multipliedReportingOverflow(by: Int64(max(0, cost)))
            let capacity = interval.saturatingMultiply(Int64(max(1, burst)))
            return (Word.gcra, Self.packed(capacity, isTooMuch ? 0 : need, isTooMuch ? 1 : 0))
        }
    }

    /// The big-endian bytes of numbers.
    private static func packed(_ numbers: Int64...) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 * numbers.count)
        for number in numbers {
            for shift in stride(from: 56 as Int64, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> shift))
            }
        }
        return bytes
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
