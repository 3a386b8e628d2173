internal import Synchronization

/// The deadline and state of the current task's call.
package typealias DeadlineScope = Timers.Scope

extension DeadlineScope {
    /// The innermost call with a deadline, which may have ended.
    ///
    /// A task that outlives its call keeps this value. Read `live` instead.
    @TaskLocal package static var innermost: DeadlineScope?

    /// The innermost call with a deadline that is under way, or `nil` if there is none.
    package static var live: DeadlineScope? { innermost?.live }
}

extension Timers {
    /// A call with a deadline.
    ///
    /// The deadline ends with the call. A task that outlives the call has the deadline of the next enclosing call under
    /// way, or no deadline.
    @safe open class Scope: Entry, @unchecked Sendable {
        // @unchecked Sendable: mutable state is atomic, except the state of `Entry`, which documents its own lock.

        /// The set of events of a call.
        ///
        /// Subclasses add bits of their own.
        package struct Phase: OptionSet, Sendable {
            package let rawValue: UInt8

            package init(rawValue: UInt8) { self.rawValue = rawValue }

            /// The deadline came first.
            package static let expired = Phase(rawValue: 1)
            /// The caller's cancellation came first.
            package static let callerCancelled = Phase(rawValue: 2)
            /// The call has ended.
            package static let hasEnded = Phase(rawValue: 4)
            /// Either cause of a cancellation.
            package static let cause: Phase = [.expired, .callerCancelled]
        }

        /// The source of the deadline's readings.
        package final let timeSource: TimeSource
        /// The enclosing call that was under way when this call began.
        package final let enclosing: Scope?
        private let phaseBits = Atomic<UInt8>(0)
        /// The reading at which the call's own limit ends.
        private let own: Atomic<Int64>
        /// The last computed reading at which the enclosing call's limit ends.
        private let bound: Atomic<Int64>

        /// Begins a call.
        package init(_ limit: NestedLimit) {
            timeSource = limit.timeSource
            enclosing = limit.enclosing
            own = Atomic(limit.own)
            bound = Atomic(limit.bound)
            super.init()
        }

        /// Begins a call with a deadline within the limits of the enclosing calls.
        package convenience init(_ deadline: Deadline) {
            self.init(NestedLimit(deadline))
        }

        /// The present deadline as a reading of ``timeSource``.
        package final var expiry: Int64 {
            let (own, bound) = (own.load(ordering: .acquiring), bound.load(ordering: .acquiring))
            if bound >= own { return own }
            // A call that has ended no longer bounds this call.
            return outlivesEnclosing ? min(own, presentBound) : bound
        }

        /// A Boolean value that indicates whether this call outlives an enclosing call.
        private final var outlivesEnclosing: Bool {
            var scope = enclosing
            while let call = scope {
                if call.hasEnded { return true }
                scope = call.enclosing
            }
            return false
        }

        /// The present deadline of the enclosing calls as a reading of ``timeSource``.
        private final var presentBound: Int64 {
            enclosing?.live?.deadline.reading(of: timeSource, now: timeSource.now) ?? .max
        }

        /// A snapshot of the deadline.
        package final var deadline: Deadline { Deadline(instant: expiry, timeSource: timeSource) }

        /// Moves the call's own limit within the present limits of the enclosing calls.
        ///
        /// - Parameter reading: The new end of the limit.
        package final func moveOwn(to reading: Int64) {
            bound.store(presentBound, ordering: .releasing)
            own.store(reading, ordering: .releasing)
        }

        /// This call or else the next enclosing call that is under way, or `nil` if all have ended.
        package final var live: Scope? {
            var scope = self
            while scope.hasEnded {
                guard let next = scope.enclosing else { return nil }
                scope = next
            }
            return scope
        }

        /// The events so far.
        package final var phase: Phase { Phase(rawValue: phaseBits.load(ordering: .acquiring)) }

        /// A Boolean value that indicates whether the call has ended.
        package final var hasEnded: Bool { phase.contains(.hasEnded) }

        /// Adds events to the phase.
        ///
        /// - Returns: The previous phase.
        @discardableResult
        package final func add(_ phase: Phase) -> Phase {
            Phase(rawValue: phaseBits.bitwiseOr(phase.rawValue, ordering: .acquiringAndReleasing).oldValue)
        }

        /// Removes events from the phase.
        ///
        /// - Returns: The previous phase.
        @discardableResult
        package final func remove(_ phase: Phase) -> Phase {
            Phase(rawValue: phaseBits.bitwiseAnd(~phase.rawValue, ordering: .acquiringAndReleasing).oldValue)
        }

        /// Records the cause of the cancellation unless the call has ended or already has a cause.
        ///
        /// - Parameters:
        ///   - cause: The cause.
        ///   - addition: Returns further events to add for a previous phase.
        /// - Returns: The previous phase, or `nil` if nothing was recorded.
        package final func recordCause(_ cause: Phase, adding addition: (Phase) -> Phase = { _ in [] }) -> Phase? {
            var old = phase
            while old.isDisjoint(with: [.cause, .hasEnded]) {
                let new = old.union(cause).union(addition(old))
                let (isDone, found) = phaseBits.weakCompareExchange(
                    expected: old.rawValue,
                    desired: new.rawValue,
                    ordering: .acquiringAndReleasing
                )
                if isDone { return old }
                old = Phase(rawValue: found)
            }
            return nil
        }

        /// A Boolean value that indicates whether the deadline passed before any cancellation by the caller.
        // The clock decides, not the order of the events. A timer can be late, and an enclosing call with the same
        // deadline can cancel this call before the timer of this call runs.
        package final var hasExpired: Bool {
            let cause = recordedCause
            return cause.isEmpty ? deadline.isExpired : cause.contains(.expired)
        }

        /// The cause recorded by this call or else by the innermost enclosing call under way.
        ///
        /// The set is empty if there is no cause.
        private final var recordedCause: Phase {
            var scope: Scope? = self
            while let call = scope {
                let cause = call.phase.intersection(.cause)
                if !cause.isEmpty { return cause }
                scope = call.enclosing?.live
            }
            return []
        }

        /// The cause of a cancellation that now arrives from the caller's task.
        package final var causeOfCancellation: Phase {
            if let cause = enclosing?.live?.recordedCause, !cause.isEmpty { return cause }
            return deadline.isExpired ? .expired : .callerCancelled
        }
    }
}

/// The limit of a new call within the limits of the enclosing calls.
package struct NestedLimit: Sendable {
    /// The source of both readings.
    package let timeSource: TimeSource
    /// The reading at which the call's own limit ends.
    package let own: Int64
    /// The reading at which the enclosing call's limit ends, or `Int64.max`.
    package let bound: Int64
    /// The enclosing call under way, or `nil` if there is none.
    package let enclosing: DeadlineScope?

    /// Combines the call's own limit with the deadline of the current task.
    ///
    /// - Parameters:
    ///   - own: The reading of `source` at which the call's own limit ends.
    ///   - source: The call's clock.
    ///   - now: A reading of `source`.
    ///   - keepsSource: `true` to keep readings of `source` even if an enclosing deadline on another clock is earlier.
    ///     Defaults to `false`, which keeps the enclosing deadline exact.
    package init(_ own: Int64, of source: TimeSource, now: Int64, keepsSource: Bool = false) {
        enclosing = DeadlineScope.live
        guard let deadline = enclosing?.deadline else {
            (timeSource, self.own, bound) = (source, own, .max)
            return
        }
        let bound = deadline.reading(of: source, now: now)
        if keepsSource || deadline.timeSource.identity == source.identity || bound > own {
            (timeSource, self.own, self.bound) = (source, own, bound)
        } else {
            let limit = own.saturatingSubtract(now)
            timeSource = deadline.timeSource
            (self.own, self.bound) = (timeSource.now.saturatingAdd(limit), deadline.instant)
        }
    }

    /// Combines a deadline with the deadline of the current task.
    package init(_ deadline: Deadline) {
        self.init(deadline.instant, of: deadline.timeSource, now: deadline.timeSource.now)
    }

    /// The earlier reading of the two.
    package var instant: Int64 { min(own, bound) }

    /// The earlier deadline of the two.
    package var deadline: Deadline { Deadline(instant: instant, timeSource: timeSource) }
}
