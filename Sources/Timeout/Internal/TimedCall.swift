internal import ReliabilityCore

/// A call under a deadline: coordinates the operation, the timer, and the caller's cancellation.
@safe final class TimedCall: DeadlineScope, @unchecked Sendable {
    // @unchecked Sendable: only the operation's task uses `operation` and `error` until the end of the task, and only
    // the caller uses them afterwards. The bits of `phase` order every other access.
    //
    // Cancellation runs the operation's cancellation handlers. A handler may do anything: cancel the caller, end the
    // operation, or call back into this call. No lock is therefore held during a cancellation. The first cancellation
    // sets `isCancelling`. An operation that ends at that moment waits for the cancellation, because the handle of its
    // task is valid only until the end of the task.

    /// The operation's function, in a struct because an optional function needs another wrapper and an allocation.
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

    /// The properties of the caller's task that an unstructured task does not inherit.
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
        if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *), isNonisolated() {
            // Nonisolated, as the caller is.
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

    /// The traits of the caller's task, or `nil` if the task has neither a name nor an executor preference.
    @inline(never)
    private func uncommonTraits() -> TaskTraits? {
        let traits = traits
        return traits.name == nil && traits.executor == nil ? nil : traits
    }

    /// A Boolean value that indicates whether the caller must await the immediate task.
    private var mustAwaitTask: Bool { !phase.contains(.hasEnded) || phase.contains(.isCancelling) }

    /// Starts the operation in an immediate task.
    @available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *)
    @inline(__always)
    private func startInPlace() -> Task<Void, Never>? {
        var task: Task<Void, Never>?
        // The loop makes the compiler inline `immediate`. Without inlining, Swift 6.3 treats a `nil` executor as a
        // preference. Each executor switch in the task then takes a lock, which costs 0.15 µs a call.
        for _ in 0..<one() { task = Task.immediate { await self.performInPlace() } }
        return task
    }

    /// Runs the operation in an immediate task with a name or an executor preference.
    @available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *)
    @inline(never)
    private func runInPlace(_ traits: TaskTraits) async {
        // A throwing task: the compiler inlines `immediate` above only if no other code creates a task of that type.
        let task = Task<Void, any Error>.immediate(name: traits.name, executorPreference: traits.executor) {
            await self.performInPlace()
        }
        if mustAwaitTask { _ = await task.result }
    }

    /// Runs the operation in a task that is enqueued on the caller's actor.
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

    /// Returns the result of the call.
    ///
    /// - Precondition: The operation has ended, and the method was not called before.
    @inline(__always)
    func result(limit: @autoclosure () -> Duration) -> TimedResult {
        if error == nil { return .success }
        return failure(limit: limit())
    }

    @inline(never)
    private func failure(limit: Duration) -> TimedResult {
        // Taken, because a task that outlives the call retains the scope and must not retain the error.
        guard let error = error.take() else { return .success }
        guard hasExpired else { return .failure(error) }
        CallTrace.current?.record(.timedOut(limit: limit))
        return .expired(TimeoutError(deadline: deadline, underlyingError: error))
    }

    override func fire() {
        let due = expiry
        if due > timeSource.now {
            // The deadline of an enclosing call no longer applies, because that call has ended.
            timeSource.arm(self, at: due)
            if hasEnded { timeSource.cancel(self) }
            return
        }
        if mustCancel(.expired) { timeSource.cancelFromTimer { [self] in cancelOperation() } }
    }

    private func callerCancelled() {
        if mustCancel(causeOfCancellation) { cancelOperation() }
    }

    /// Records the cause of a cancellation, unless the operation has ended or another cause was recorded before.
    ///
    /// - Returns: `true` if the calling function must cancel the operation now. The operation's end waits for that.
    private func mustCancel(_ cause: Phase) -> Bool {
        // A task that is not known yet reads the cause before the operation begins.
        recordCause(cause, adding: { $0.contains(.isKnown) ? .isCancelling : [] })?.contains(.isKnown) == true
    }

    private func cancelOperation() {
        if let task { task.cancel() } else { unsafe current?.cancel() }
        if remove(.isCancelling).contains(.isWaiting) { waiter.take()?.resume() }
    }

    /// Moves the call's own limit.
    ///
    /// - Returns: `false` if the deadline has already passed.
    func move(to reading: Int64) -> Bool {
        guard timeSource.cancel(self) else { return false }
        moveOwn(to: reading)
        timeSource.arm(self, at: expiry)
        return true
    }

    // MARK: The operation's task

    /// Runs the operation in an immediate task.
    ///
    /// An operation that never suspends ends before the caller receives the task. The task therefore publishes its own
    /// handle for a cancellation.
    @inline(__always)
    @concurrent private func performInPlace() async {
        await unsafe withUnsafeCurrentTask { @Sendable task in
            unsafe begin(task)
            await perform()
            if end() { await waitForCanceller() }
        }
    }

    // Not inlined, so that the frame of the task stays small enough for the first slab of the task allocator.

    @inline(never)
    private func begin(_ task: UnsafeCurrentTask?) {
        unsafe current = task
        // An earlier cancellation did not reach the task. The operation must see that cancellation from its first line.
        if !add(.isKnown).isDisjoint(with: .cause) { unsafe current?.cancel() }
    }

    /// Ends the call.
    ///
    /// - Returns: `true` if a cancellation of the operation is in progress.
    @inline(never)
    private func end() -> Bool {
        if add(.hasEnded).contains(.isCancelling) { return true }
        unsafe current = nil
        return false
    }

    /// Runs the operation in an enqueued task.
    ///
    /// The caller publishes the handle of the task.
    nonisolated(nonsending) private func performEnqueued() async {
        // The synchronous form, because the asynchronous `withUnsafeCurrentTask` leaves the caller's isolation.
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

    /// Runs the operation and releases it, so that no reference to the closure remains at the end of the task.
    @inline(__always)
    nonisolated(nonsending) private func perform() async {
        guard let operation = operation.take() else { return }
        await DeadlineScope.$innermost.withValue(self) {
            do { try await operation.run() } catch { self.error = error }
        }
    }
}

extension DeadlineScope.Phase {
    /// The operation's task is known: `task` or `current` is set and does not change.
    fileprivate static let isKnown = Self(rawValue: 8)
    /// A cancellation of the operation's task is in progress.
    fileprivate static let isCancelling = Self(rawValue: 16)
    /// The operation's task waits for the end of the cancellation, and `waiter` is set.
    fileprivate static let isWaiting = Self(rawValue: 32)
}

/// Returns a Boolean value that indicates whether the caller is not isolated to an actor.
private func isNonisolated(_ isolation: (any Actor)? = #isolation) -> Bool { isolation == nil }

/// Returns 1, opaque to the optimizer.
@inline(never) private func one() -> Int { 1 }
