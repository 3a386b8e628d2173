internal import ReliabilityCore
internal import Synchronization

/// One call under a deadline: its timer, and where that, the operation and the caller's cancellation meet.
///
/// Cancelling runs the operation's own cancellation handlers, which may do anything: cancel the caller, end the
/// operation, come back to this call. So nothing is locked meanwhile. Whoever cancels first says so, and an operation
/// that ends in the middle of it waits, for the handle to its task is good only until the task's end.
@safe final class TimedCall: DeadlineScheduler.Entry, @unchecked Sendable {
    // @unchecked Sendable: `operation` and `error` are used by the operation's task alone until its end, and by the
    // caller alone after; `phase` orders the rest, as said there.

    /// What has happened so far, one bit each.
    private struct Phase: OptionSet, Sendable {
        let rawValue: UInt8

        /// The deadline came first.
        static let expired = Phase(rawValue: 1)
        /// The caller's cancellation came first.
        static let callerCancelled = Phase(rawValue: 2)
        /// The operation's task is known: `task` or `current` is set, and stays.
        static let isKnown = Phase(rawValue: 4)
        /// Somebody is in the middle of cancelling that task.
        static let isCancelling = Phase(rawValue: 8)
        /// The operation has ended.
        static let hasEnded = Phase(rawValue: 16)
        /// The operation's task waits for whoever is cancelling it: `waiter` is set.
        static let isWaiting = Phase(rawValue: 32)

        static let cause: Phase = [.expired, .callerCancelled]
    }

    /// The deadline, as it is ambient for the operation: it may move.
    private let deadline: Deadline
    private let phaseBits = Atomic<UInt8>(0)
    var operation: (nonisolated(nonsending) () async throws -> Void)?
    private var error: (any Error)?
    private var task: Task<Void, Never>?
    nonisolated(unsafe) private var current: UnsafeCurrentTask?
    private var waiter: CheckedContinuation<Void, Never>?

    init(until deadline: Deadline, _ operation: (nonisolated(nonsending) () async throws -> Void)? = nil) {
        self.deadline = deadline
        self.operation = operation
        super.init()
    }

    private var phase: Phase { Phase(rawValue: phaseBits.load(ordering: .acquiring)) }

    /// Adds to the phase.
    ///
    /// - Returns: What it was before.
    private func add(_ phase: Phase) -> Phase {
        Phase(rawValue: phaseBits.bitwiseOr(phase.rawValue, ordering: .acquiringAndReleasing).oldValue)
    }

    /// Runs the operation to its end.
    @inline(__always)
    nonisolated(nonsending) func run() async {
        deadline.timeSource.arm(self, at: deadline.instant)
        if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *), isNowhere() {
            // What is in here runs nowhere, as the caller does.
            await withTaskCancellationHandler(
                operation: {
                    let task = Task.immediate(executorPreference: deadline.timeSource.taskExecutor) {
                        await self.performInPlace()
                    }
                    if !phase.contains(.hasEnded) || phase.contains(.isCancelling) { await task.value }
                },
                onCancel: { cancel(.callerCancelled) },
                isolation: nil
            )
        } else {
            await runEnqueued()
        }
        deadline.timeSource.cancel(self)
    }

    /// Runs the operation in a task that waits for its turn in the caller's isolation.
    private func runEnqueued(isolation: isolated (any Actor)? = #isolation) async {
        await withTaskCancellationHandler {
            let task = Task(executorPreference: deadline.timeSource.taskExecutor) {
                _ = isolation
                await self.performEnqueued()
            }
            self.task = task
            if !add(.isKnown).isDisjoint(with: .cause) { task.cancel() }
            await task.value
        } onCancel: {
            cancel(.callerCancelled)
        }
    }

    /// How the call ended; asked once, after the operation's end.
    @inline(__always)
    func result(limit: @autoclosure () -> Duration) -> TimedResult {
        guard let error else { return .success }
        guard phase.contains(.expired) else { return .failure(error) }
        CallTrace.current?.note(.timedOut(limit: limit()))
        return .expired(TimeoutError(deadline: deadline.snapshot, underlyingError: error))
    }

    override func fire() {
        if claim(.expired) { deadline.timeSource.cancelFromTimer { [self] in cancelOperation() } }
    }

    private func cancel(_ cause: Phase) {
        if claim(cause) { cancelOperation() }
    }

    /// Notes why the operation is cancelled, unless it has ended or was cancelled before: the first cause stays.
    ///
    /// - Returns: Whether the operation is to be cancelled now. It waits for that at its end.
    private func claim(_ cause: Phase) -> Bool {
        var old = phase
        while true {
            if !old.isDisjoint(with: [.cause, .hasEnded]) { return false }
            let new = old.union(old.contains(.isKnown) ? [cause, .isCancelling] : cause)
            let (isDone, found) = phaseBits.weakCompareExchange(
                expected: old.rawValue,
                desired: new.rawValue,
                ordering: .acquiringAndReleasing
            )
            if isDone { break }
            old = Phase(rawValue: found)
        }
        // Otherwise the operation's task sees the cause before it begins.
        return old.contains(.isKnown)
    }

    private func cancelOperation() {
        if let task { task.cancel() } else { unsafe current?.cancel() }
        let mask = ~Phase.isCancelling.rawValue
        let before = Phase(rawValue: phaseBits.bitwiseAnd(mask, ordering: .acquiringAndReleasing).oldValue)
        if before.contains(.isWaiting) { waiter.take()?.resume() }
    }

    /// Moves the deadline to where `instant` has gone, or is going; for the operation that has `instant`.
    ///
    /// - Returns: False when the deadline has passed already.
    func move(_ instant: MovingInstant, to nanoseconds: Int64) -> Bool {
        guard deadline.timeSource.cancel(self) else { return false }
        instant.nanoseconds = nanoseconds
        deadline.timeSource.arm(self, at: nanoseconds)
        return true
    }

    // MARK: The operation's task

    /// Runs the operation in a task that starts in place, before anybody else could name it.
    ///
    /// An operation that never suspends runs to its end in here. The task makes itself known, so that it can be
    /// cancelled all the same.
    @inline(__always)
    @concurrent private func performInPlace() async {
        await unsafe withUnsafeCurrentTask { @Sendable task in
            unsafe begin(task)
            await perform()
            if end() { await waitForCanceller() }
        }
    }

    // Not inlined: what these need must not make the frame of the task larger, which is to fit into its first slab.

    @inline(never)
    private func begin(_ task: UnsafeCurrentTask?) {
        unsafe current = task
        // What came before could not reach the task; the operation's first line is to see it all the same.
        if !add(.isKnown).isDisjoint(with: .cause) { unsafe current?.cancel() }
    }

    /// Ends the call; true when somebody is in the middle of cancelling it.
    @inline(never)
    private func end() -> Bool {
        if add(.hasEnded).contains(.isCancelling) { return true }
        unsafe current = nil
        return false
    }

    /// Runs the operation in a task that the caller makes known, or has made known.
    ///
    /// For isolated callers: the asynchronous `withUnsafeCurrentTask` would leave their isolation.
    nonisolated(nonsending) private func performEnqueued() async {
        if !phase.isDisjoint(with: .cause) { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        await perform()
        _ = add(.hasEnded)
    }

    private func waitForCanceller() async {
        await withCheckedContinuation { continuation in
            waiter = continuation
            if !add(.isWaiting).contains(.isCancelling) { waiter.take()?.resume() }
        }
        unsafe current = nil
    }

    /// Runs the operation and lets go of it: when the task has ended, nobody holds the closure any more.
    @inline(__always)
    nonisolated(nonsending) private func perform() async {
        guard let operation = operation.take() else { return }
        await Deadline.$ambient.withValue(deadline) {
            do { try await operation() } catch { self.error = error }
        }
    }
}

/// What cancels the current task from anywhere.
@safe private struct CurrentTask: @unchecked Sendable {
    // @safe, @unchecked Sendable: `UnsafeCurrentTask` leaves `cancel()` to every thread while the closure runs that it
    // was handed to. The one who makes this sees to that.
    private let task: UnsafeCurrentTask

    init?(_ task: UnsafeCurrentTask?) {
        guard let task = unsafe task else { return nil }
        unsafe self.task = task
    }

    func cancel() { unsafe task.cancel() }
}

/// Whether the caller runs in no actor's isolation.
private func isNowhere(_ isolation: (any Actor)? = #isolation) -> Bool { isolation == nil }
