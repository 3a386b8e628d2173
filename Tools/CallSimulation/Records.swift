// The ground truth, as recorded by the operations and the tasks.
//
// No value comes from the library's reports. The classes are `@unchecked Sendable` because they are used on the
// simulation's one thread only.

/// A point in the order of all events of a run.
struct Moment: Comparable {
    /// The clock's reading in nanoseconds.
    var time: Int64
    /// The position in the order of events, also for events of one instant.
    var number: Int

    static func < (left: Moment, right: Moment) -> Bool { left.number < right.number }
}

/// The end of a run or an attempt.
enum End {
    case returned(Int)
    case threw(any Error)

    var error: (any Error)? { if case .threw(let error) = self { error } else { nil } }
    var value: Int? { if case .returned(let value) = self { value } else { nil } }
}

/// A task that makes a call: a caller's task, a task that a call left behind, or the task of a relay's handler.
final class Origin: @unchecked Sendable {
    let name: String
    /// The attempt that started the task, which the task may outlive.
    let starter: Attempt?
    /// The instant at which a relay cancels the handler.
    let deadline: Int64?
    /// The earliest possible deadline, if the deadline is not certain.
    var earliestDeadline: Int64?
    /// The moment at which the caller cancelled the call.
    var left: Moment?
    /// The task that cancels the call.
    var leaving: Task<Void, any Error>?

    init(_ name: String, starter: Attempt? = nil, deadline: Int64? = nil) {
        self.name = name
        self.starter = starter
        self.deadline = deadline
    }
}

/// A run of a layer, which is one call through the layer.
final class Run: @unchecked Sendable {
    let layer: Layer
    let outer: Attempt
    let began: Moment
    /// The layer's own deadline.
    var ownDeadline: Int64?
    var end: (at: Moment, how: End)?
    var attempts: [Attempt] = []
    /// The value of a fallback's source.
    var sourceValue: Int?
    /// The moment at which the first attempt of a hedge returned.
    var won: Moment?
    /// The last instant at which something inside could not be interrupted.
    var busyUntil = Int64.min
    /// The last instant at which something inside could be interrupted by a deadline, and not by the caller.
    var busyForCallerUntil = Int64.min

    init(_ layer: Layer, in outer: Attempt, at began: Moment, limit: Duration? = nil) {
        self.layer = layer
        self.outer = outer
        self.began = began
        ownDeadline = limit.map { began.time + Int64($0 / .nanoseconds(1)) }
    }

    var origin: Origin { outer.origin }

    /// A Boolean value that indicates whether the layer waits for the store.
    var usesStore: Bool {
        switch layer {
        case .dedup, .limiter, .outbox: true
        default: false
        }
    }
}

/// A run of the inside of a layer.
final class Attempt: @unchecked Sendable {
    let origin: Origin
    /// The layer's run, or `nil` for the whole call.
    let run: Run?
    let number: Int
    let began: Moment
    /// The instant at which the layer cancels this attempt alone.
    let deadline: Int64?
    var end: (at: Moment, how: End)?
    /// The moment at which the first request was sent.
    var sent: Moment?
    /// The number of operations that have begun.
    var operations = 0

    init(_ origin: Origin, at began: Moment) {
        self.origin = origin
        run = nil
        number = 1
        self.began = began
        deadline = nil
    }

    init(of run: Run, number: Int, at began: Moment, limit: Duration? = nil) {
        origin = run.origin
        self.run = run
        self.number = number
        self.began = began
        deadline = limit.map { began.time + Int64($0 / .nanoseconds(1)) }
    }

    /// The attempt and its enclosing attempts of the same task, the innermost first.
    var chain: some Sequence<Attempt> { sequence(first: self) { $0.run?.outer } }

    func beginOperation() { for attempt in chain { attempt.operations += 1 } }

    func send(at moment: Moment) { for attempt in chain where attempt.sent == nil { attempt.sent = moment } }

    func cannotBeInterrupted(until time: Int64) {
        for attempt in chain {
            if let run = attempt.run { run.busyUntil = max(run.busyUntil, time) }
        }
    }

    func cannotBeInterruptedByCaller(until time: Int64) {
        for attempt in chain {
            if let run = attempt.run { run.busyForCallerUntil = max(run.busyForCallerUntil, time) }
        }
    }
}
