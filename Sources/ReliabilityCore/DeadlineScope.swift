internal import Synchronization

/// The call that the current task works on: its deadline, whether the call has ended, and what cancelled it.
package typealias DeadlineScope = DeadlineScheduler.Scope

extension DeadlineScope {
    /// The innermost call with a deadline, which may have ended.
    ///
    /// A task that is started in a call and outlives it inherits this value for as long as it runs. Read ``live``.
    @TaskLocal package static var innermost: DeadlineScope?

    /// The innermost call with a deadline that is under way, or `nil` if there is none.
    package static var live: DeadlineScope? { innermost?.live }
}

extension DeadlineScheduler {
    /// One call under a deadline.
    ///
    /// The deadline ends with the call: a task that was started in the call and outlives it has the deadline of the next
    /// enclosing call that is under way, or none.
    ///
    /// The class is `open`, in a type that only this package sees, for the same reason as ``Entry``.
    @safe open class Scope: Entry, @unchecked Sendable {
        // @unchecked Sendable: everything that changes is atomic; `Entry` says what protects its own part.

        /// What has happened to a call, one bit each; subclasses add their own.
        package struct Phase: OptionSet, Sendable {
            package let rawValue: UInt8

            package init(rawValue: UInt8) { self.rawValue = rawValue }

            /// The deadline came first.
            package static let expired = Phase(rawValue: 1)
            /// The caller's cancellation came first.
            package static let callerCancelled = Phase(rawValue: 2)
            /// The call has ended.
            package static let hasEnded = Phase(rawValue: 4)
            /// Whichever of the two came first.
            package static let cause: Phase = [.expired, .callerCancelled]
        }

        /// The source of the deadline's readings.
        package final let timeSource: TimeSource
        /// The enclosing call that was under way when this one began.
        package final let enclosing: Scope?
        private let phaseBits = Atomic<UInt8>(0)
        /// The reading at which the call's own limit ends.
        private let own: Atomic<Int64>
        /// The reading at which the enclosing call's limit ends, where that was last computed.
        private let bound: Atomic<Int64>

        /// Begins a call.
        package init(_ limit: NestedLimit) {
            timeSource = limit.timeSource
            enclosing = limit.enclosing
            own = Atomic(limit.own)
            bound = Atomic(limit.bound)
            super.init()
        }

        /// Begins a call with a deadline, within the limits of the enclosing calls.
        package convenience init(_ deadline: Deadline) {
            self.init(NestedLimit(deadline))
        }

        /// Where the deadline is now, as a reading of ``timeSource``.
        package final var expiry: Int64 {
            let (own, bound) = (own.load(ordering: .acquiring), bound.load(ordering: .acquiring))
            if bound >= own { return own }
            // A call that has ended bounds nothing, neither this one nor those inside it.
            return hasLostEnclosing ? min(own, presentBound) : bound
        }

        /// Whether one of the enclosing calls has ended, which this one outlives.
        private final var hasLostEnclosing: Bool {
            var scope = enclosing
            while let call = scope {
                if call.hasEnded { return true }
                scope = call.enclosing
            }
            return false
        }

        /// Where the deadlines of the enclosing calls are now.
        private final var presentBound: Int64 {
            enclosing?.live?.deadline.reading(of: timeSource, now: timeSource.now) ?? .max
        }

        /// A snapshot of the deadline.
        package final var deadline: Deadline { Deadline(instant: expiry, timeSource: timeSource) }

        /// Moves the call's own limit, within the limits of the enclosing calls as they are now.
        ///
        /// - Parameter reading: Where the limit ends from now on.
        package final func moveOwn(to reading: Int64) {
            bound.store(presentBound, ordering: .releasing)
            own.store(reading, ordering: .releasing)
        }

        /// This call if it is under way, else the next enclosing one that is.
        package final var live: Scope? {
            var scope = self
            while scope.hasEnded {
                guard let next = scope.enclosing else { return nil }
                scope = next
            }
            return scope
        }

        /// What has happened so far.
        package final var phase: Phase { Phase(rawValue: phaseBits.load(ordering: .acquiring)) }

        /// Whether the call has ended.
        package final var hasEnded: Bool { phase.contains(.hasEnded) }

        /// Adds to the phase.
        ///
        /// - Returns: The phase before.
        @discardableResult
        package final func add(_ phase: Phase) -> Phase {
            Phase(rawValue: phaseBits.bitwiseOr(phase.rawValue, ordering: .acquiringAndReleasing).oldValue)
        }

        /// Removes from the phase.
        ///
        /// - Returns: The phase before.
        @discardableResult
        package final func remove(_ phase: Phase) -> Phase {
            Phase(rawValue: phaseBits.bitwiseAnd(~phase.rawValue, ordering: .acquiringAndReleasing).oldValue)
        }

        /// Records what came first, unless the call has ended or something else came before.
        ///
        /// - Parameters:
        ///   - cause: What came first.
        ///   - addition: What else is added, for the phase that was there.
        /// - Returns: The phase before, or `nil` if nothing was recorded.
        package final func claim(_ cause: Phase, adding addition: (Phase) -> Phase = { _ in [] }) -> Phase? {
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

        /// Whether time was up before the caller cancelled, if the caller has.
        ///
        /// The clock decides, and not who noticed first: a timer may be late, and an enclosing call with the same
        /// deadline may cancel this one before its own timer runs.
        package final var hasExpired: Bool {
            let cause = recordedCause
            return cause.isEmpty ? deadline.isExpired : cause.contains(.expired)
        }

        /// The cause that this call, or else the innermost enclosing one under way, recorded; empty if there is none.
        private final var recordedCause: Phase {
            var scope: Scope? = self
            while let call = scope {
                let cause = call.phase.intersection(.cause)
                if !cause.isEmpty { return cause }
                scope = call.enclosing?.live
            }
            return []
        }

        /// The cause of a cancellation that arrives now from the caller's task.
        package final var causeOfCancellation: Phase {
            if let cause = enclosing?.live?.recordedCause, !cause.isEmpty { return cause }
            return deadline.isExpired ? .expired : .callerCancelled
        }
    }
}

/// A limit for a call that begins, within the limits of the enclosing calls.
package struct NestedLimit: Sendable {
    /// The source of both readings.
    package let timeSource: TimeSource
    /// The reading at which the call's own limit ends.
    package let own: Int64
    /// The reading at which the enclosing call's limit ends, or `Int64.max`.
    package let bound: Int64
    package let enclosing: DeadlineScope?

    /// Combines the call's own limit with the deadline of the current task.
    ///
    /// - Parameters:
    ///   - own: The reading of `source` at which the call's own limit ends.
    ///   - source: The call's clock.
    ///   - now: A reading of `source`.
    ///   - keepsSource: Whether readings stay those of `source` even if the enclosing deadline is another clock's and
    ///     the earlier one. Defaults to `false`, which keeps that deadline exact.
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

    /// Combines a deadline with that of the current task.
    package init(_ deadline: Deadline) {
        self.init(deadline.instant, of: deadline.timeSource, now: deadline.timeSource.now)
    }

    /// The earlier of the two.
    package var instant: Int64 { min(own, bound) }

    /// The deadline that holds.
    package var deadline: Deadline { Deadline(instant: instant, timeSource: timeSource) }
}
