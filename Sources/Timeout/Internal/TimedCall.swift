internal import ReliabilityCore

/// One call under a deadline: its timer, and where that, the operation and the caller's cancellation meet.
///
/// Cancelling runs the operation's own cancellation handlers, which may do anything: cancel the caller, end the
/// operation, come back to this call. So nothing is locked meanwhile. Whoever cancels first says so, and an operation
/// that ends in the middle of it waits, for the handle to its task is good only until the task's end.
@safe final class TimedCall: DeadlineScope, @unchecked Sendable {
    // @unchecked Sendable: `operation` and `error` are used by the operation's task alone until its end, and by the
    // caller alone after; `phase` orders the rest, as said there.

    /// A function in a struct: in an optional of its own it would be wrapped once more, with an allocation.
    struct Operation {
        let run: nonisolated(nonsending) () async throws -> Void
    }

    var operation: Operation?
    private var error: (any Error)?
    private var task: Task<Void, Never>?
    nonisolated(unsafe) private var current: UnsafeCurrentTask?
    private var waiter: CheckedContinuation<Void, Never>?

    init(_ limit: NestedLimit, _ operation: Operation? = nil) {
        self.operation = operation
        super.init(limit)
    }

    /// The name and the executor of the caller's task, which an unstructured task does not inherit.
    private struct TaskTraits {
        let name: String?
        let executor: (any TaskExecutor)?
    }

    private var traits: TaskTraits {
        TaskTraits(name: currentTaskName(), executor: timeSource.taskExecutor ?? preferredTaskExecutor())
    }

    /// Runs the operation to its end.
    @inline(__always)
    nonisolated(nonsending) func run() async {
        timeSource.arm(self, at: expiry)
        if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *), isNowhere() {
            // What is in here runs nowhere, as the caller does.
            await withTaskCancellationHandler(
                operation: {
                    if let traits = uncommonTraits() {
                        await runInPlace(traits)
                    } else {
                        let task = startInPlace()
                        if mustAwaitTask { await task?.value }
                    }
                },
                onCancel: { callerCancelled() },
                isolation: nil
            )
        } else {
            await runEnqueued()
        }
        timeSource.cancel(self)
    }

    /// The traits, or `nil` for a task with neither a name nor an executor of its own.
    @inline(never)
    private func uncommonTraits() -> TaskTraits? {
        let traits = traits
        return traits.name == nil && traits.executor == nil ? nil : traits
    }

    /// Whether the task that was started in place has to be awaited.
    private var mustAwaitTask: Bool { !phase.contains(.hasEnded) || phase.contains(.isCancelling) }

    /// Starts the operation's task in place.
    @available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *)
    @inline(__always)
    private func startInPlace() -> Task<Void, Never>? {
        var task: Task<Void, Never>?
        // The loop makes the compiler inline `immediate`. Where Swift 6.3 does not inline it, it takes a nil executor for
        // a preference, and every switch between executors in the task costs a lock: 0.15 µs a call.
        for _ in 0..<one() { task = Task.immediate { await self.performInPlace() } }
        return task
    }

    /// Runs the operation in a task in place, with a name or an executor.
    @available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *)
    @inline(never)
    private func runInPlace(_ traits: TaskTraits) async {
        // A task that can throw: the compiler inlines `immediate` above only while no other place has a task of that type.
        let task = Task<Void, any Error>.immediate(name: traits.name, executorPreference: traits.executor) {
            await self.performInPlace()
        }
        if mustAwaitTask { _ = await task.result }
    }

    /// Runs the operation in a task that waits for its turn in the caller's isolation.
    private func runEnqueued(isolation: isolated (any Actor)? = #isolation) async {
        await withTaskCancellationHandler {
            let traits = traits
            let task = Task(name: traits.name, executorPreference: traits.executor) {
                _ = isolation
                await self.performEnqueued()
            }
            self.task = task
            if !add(.isKnown).isDisjoint(with: .cause) { task.cancel() }
            await task.value
        } onCancel: {
            callerCancelled()
        }
    }

    /// How the call ended; asked once, after the operation's end.
    @inline(__always)
    func result(limit: @autoclosure () -> Duration) -> TimedResult {
        if error == nil { return .success }
        return failure(limit: limit())
    }

    @inline(never)
    private func failure(limit: Duration) -> TimedResult {
        // Taken: a task that outlives the call and inherits its scope must not keep the error alive.
        guard let error = error.take() else { return .success }
        guard hasExpired else { return .failure(error) }
        CallTrace.current?.note(.timedOut(limit: limit))
        return .expired(TimeoutError(deadline: deadline, underlyingError: error))
    }

    override func fire() {
        let due = expiry
        if due > timeSource.now {
            // The deadline was that of an enclosing call, which has ended meanwhile.
            timeSource.arm(self, at: due)
            if hasEnded { timeSource.cancel(self) }
            return
        }
        if mustCancel(.expired) { timeSource.cancelFromTimer { [self] in cancelOperation() } }
    }

    private func callerCancelled() {
        if mustCancel(causeOfCancellation) { cancelOperation() }
    }

    /// Records why the operation is cancelled, unless it has ended or was cancelled before: the first cause stays.
    ///
    /// - Returns: Whether the operation is to be cancelled now. It waits for that at its end.
    private func mustCancel(_ cause: Phase) -> Bool {
        // Where the operation's task is not known yet, it sees the cause before it begins.
        claim(cause, adding: { $0.contains(.isKnown) ? .isCancelling : [] })?.contains(.isKnown) == true
    }

    private func cancelOperation() {
        if let task { task.cancel() } else { unsafe current?.cancel() }
        if remove(.isCancelling).contains(.isWaiting) { waiter.take()?.resume() }
    }

    /// Moves the call's own limit.
    ///
    /// - Returns: `false` if the deadline has passed already.
    func move(to reading: Int64) -> Bool {
        guard timeSource.cancel(self) else { return false }
        moveOwn(to: reading)
        timeSource.arm(self, at: expiry)
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
        await DeadlineScope.$innermost.withValue(self) {
            do { try await operation.run() } catch { self.error = error }
        }
    }
}

extension DeadlineScope.Phase {
    /// The operation's task is known: `task` or `current` is set, and stays.
    fileprivate static let isKnown = Self(rawValue: 8)
    /// Somebody is in the middle of cancelling that task.
    fileprivate static let isCancelling = Self(rawValue: 16)
    /// The operation's task waits for whoever is cancelling it: `waiter` is set.
    fileprivate static let isWaiting = Self(rawValue: 32)
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

/// One, in a way that the compiler does not know.
@inline(never) private func one() -> Int { 1 }
