internal import ReliabilityCore
internal import ReliabilityStore

// Times are microseconds since 1970, as `bigint`.

extension Duration {
    /// The duration in whole microseconds, rounded up, between 0 and 2^53 - 1, which is 285 years.
    var microsecondsUp: Int64 {
        let nanoseconds = max(0, saturatingNanoseconds)
        let microseconds = nanoseconds / 1000 + (nanoseconds % 1000 == 0 ? 0 : 1)
        return min(microseconds, (1 << 53) - 1)
    }

    /// Returns the time from `now` until an instant.
    static func untilMicrosecond(_ instant: Int64, from now: Int64) -> Duration {
        .microseconds(instant.saturatingSubtract(now))
    }
}

extension [UInt8] {
    /// The first bytes that are greater than all bytes with this prefix, or `nil` if there are none.
    var endOfPrefix: [UInt8]? {
        var end = self
        while let last = end.popLast() {
            if last < .max { return end + [last + 1] }
        }
        return nil
    }
}

extension StoreWrite {
    /// The arguments of a write.
    struct Arguments {
        let key: [UInt8]
        let kind: Int16
        let condition: Int16
        let wanted: Int64
        let life: Int64
        let value: [UInt8]
    }

    var arguments: Arguments {
        let kind: Int16
        let writeCondition: WriteCondition
        var expiry = Expiry.keep
        var value: [UInt8] = []
        switch self {
        case .put(_, let bytes, let life, let c): (kind, value, expiry, writeCondition) = (0, bytes, life, c)
        case .delete(_, let c): (kind, writeCondition) = (1, c)
        case .touch(_, let life, let c): (kind, expiry, writeCondition) = (2, life, c)
        case .check(_, let c): (kind, writeCondition) = (3, c)
        }
        let condition: Int16
        var wanted: Int64 = 0
        switch writeCondition {
        case .any: condition = 0
        case .absent: condition = 1
        case .present: condition = 2
        case .version(let version): (condition, wanted) = (3, version.stored)
        }
        let life: Int64 =
            switch expiry {
            case .never: -1
            case .keep: -2
            case .after(let duration): max(duration, .milliseconds(1)).microsecondsUp
            }
        return Arguments(
            key: key.encoded,
            kind: kind,
            condition: condition,
            wanted: wanted,
            life: life,
            value: value
        )
    }
}

extension AtomicUpdate {
    /// The kind and the numbers of an update.
    struct Arguments {
        let kind: Int16
        var a: Int64 = 0
        var b: Int64 = 0
        var c: Int64 = 0
        var life: Int64 = 0
    }

    var arguments: Arguments {
        switch self {
        case .add(let amount, let range, let expiry):
            return Arguments(
                kind: 1,
                a: amount,
                b: range.lowerBound,
                c: range.upperBound,
                life: max(1, expiry.saturatingNanoseconds)
            )
        case .gcra(let interval, let burst, let cost):
            let interval = max(1, interval.saturatingNanoseconds)
            let (need, isTooMuch) = interval.multipliedReportingOverflow(by: Int64(max(0, cost)))
            let capacity = interval.saturatingMultiply(Int64(max(1, burst)))
            return Arguments(kind: 2, a: capacity, b: isTooMuch ? 0 : need, c: isTooMuch ? 1 : 0)
        case .fixedWindow(let length, let limit, let cost):
            let life = max(1, length.saturatingNanoseconds)
            return Arguments(kind: 3, a: Int64(max(0, cost)), b: .min, c: Int64(limit), life: life)
        }
    }
}

extension EnqueueResult {
    /// Creates a result from the number of the functions.
    init(flag: Int64) throws(StoreError) {
        switch flag {
        case 0: self = .enqueued
        case 1: self = .duplicate
        case 2: self = .taken(by: .pending)
        case 3: self = .taken(by: .deadLetter)
        default: throw .malformedReply
        }
    }
}

extension Settlement {
    /// The number, the wait and the reason of a settlement.
    var arguments: (action: Int16, wait: Int64, reason: [UInt8]) {
        switch action {
        case .done: (0, 0, [])
        case .retry(let wait, let countsAttempt): (countsAttempt ? 1 : 2, wait.microsecondsUp, [])
        case .holdBack(let wait): (3, wait.microsecondsUp, [])
        case .extend(let lease): (4, lease.microsecondsUp, [])
        case .deadLetter(let reason): (5, 0, Array(reason.prefix(bytes: 1024).utf8))
        case .redrive: (6, 0, [])
        }
    }
}

extension [NewRecord] {
    /// The arguments of the function that adds records.
    var arguments: [PostgresValue] {
        [
            .bytesArray(map { Array<UInt8>($0.queue.description.utf8) }),
            .bytesArray(map { Array<UInt8>($0.id.utf8) }),
            .bytesArray(map(\.payload)),
            .int8Array(map(\.delay.microsecondsUp)),
        ]
    }
}
