// The ground truth: what really happened, as the operations and the tasks themselves saw it.
//
// Nothing here comes from what the library reports. Everything is used on the simulation's one thread only, which is
// what makes these classes `@unchecked Sendable`.

/// A point in the order of everything that happens in a run.
struct Moment: Comparable {
    /// The clock's reading in nanoseconds.
    var time: Int64
    /// The position in the order of events, which tells those of one instant apart.
    var number: Int

    static func < (left: Moment, right: Moment) -> Bool { left.number < right.number }
}

/// How something ended.
enum End {
    case returned(Int)
    case threw(any Error)

    var error: (any Error)? { if case .threw(let error) = self { error } else { nil } }
    var value: Int? { if case .returned(let value) = self { value } else { nil } }
}

/// A task that makes a call: a caller's, one that a call left behind, or the one of a relay's handler.
final class Origin: @unchecked Sendable {
    let name: String
    /// What started the task, which the task may outlive.
    let starter: Attempt?
    /// The instant at which a relay cancels the handler.
    let deadline: Int64?
    /// The earliest instant at which that may be, if it is not certain.
    var earliestDeadline: Int64?
    /// When the caller cancelled the call.
    var left: Moment?
    /// The task that cancels the call in time.
    var leaving: Task<Void, any Error>?

    init(_ name: String, starter: Attempt? = nil, deadline: Int64? = nil) {
        self.name = name
        self.starter = starter
        self.deadline = deadline
    }
}

/// One run of a layer: one call that went through it.
final class Run: @unchecked Sendable {
    let layer: Layer
    let outer: Attempt
    let began: Moment
    /// The layer's own deadline.
    var ownDeadline: Int64?
    var end: (at: Moment, how: End)?
    var attempts: [Attempt] = []
    /// Of a fallback, what its source returned.
    var sourceValue: Int?
    /// Of a hedge, when the first attempt returned.
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

    /// Whether the layer waits for the store.
    var usesStore: Bool {
        switch layer {
        case .dedup, .limiter, .outbox: true
        default: false
        }
    }
}

/// One run of what is inside a layer.
final class Attempt: @unchecked Sendable {
    let origin: Origin
    /// The layer's run, or `nil` for the whole call.
    let run: Run?
    let number: Int
    let began: Moment
    /// The instant at which the layer cancels this attempt alone.
    let deadline: Int64?
    var end: (at: Moment, how: End)?
    /// When the first request was sent.
    var sent: Moment?
    /// How many operations have begun.
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

    /// The attempt, and the attempts of the same task that it is part of, the innermost first.
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
