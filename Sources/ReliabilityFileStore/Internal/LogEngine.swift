internal import ReliabilityCore
internal import ReliabilityStore
internal import Synchronization

/// Runs a `LogStateMachine`: serializes access, executes the steps on two threads and resumes waiting tasks.
///
/// The writer thread writes the log. The maintenance thread writes all other files.
final class LogEngine: @unchecked Sendable {
    // @unchecked Sendable: the lock of `monitor` protects all variables except two. Only the writer thread uses `writer`,
    // and only the maintenance thread uses `maintenance`. `openCount` is atomic and is written with the lock.

    /// A caller that waits for the end of a batch.
    ///
    /// The caller receives `nil` once the batch is durable, or the error that ended the store.
    @safe private enum Waiter {
        case task(UnsafeContinuation<StoreError?, Never>)
        case request(@Sendable (StoreError?) -> Void)

        func resume(_ failure: StoreError?) {
            switch self {
            case .task(let continuation): unsafe continuation.resume(returning: failure)
            case .request(let answer): answer(failure)
            }
        }
    }

    /// The lock, and the conditions on which the two threads wait.
    let monitor = ThreadMonitor(conditions: 2)
    static let maintenanceCondition = 1
    var stateMachine: LogStateMachine
    private var waitQueue = WaitQueue()
    /// The number of the batch that is being written.
    private var batchInFlight: UInt64 = 0
    private var waitersInFlight: [Waiter] = []
    /// The callers that wait for the open batch.
    private var openWaiters: [Waiter] = []
    /// The number of waiters at which the writer thread wants a signal.
    ///
    /// The writer thread needs no signal while it writes.
    private var wakeAt = Int.max
    /// The number of callers in `openWaiters`, which the writer thread reads without the lock.
    private let openCount = Atomic<Int>(0)
    private var closeCompletions: [@Sendable () -> Void] = []
    /// The callers that wait for the end of a compaction, by the numbers of their calls.
    var compactionWaiters: [UInt64: CompactionWaiter] = [:]
    var lastCompactionCall: UInt64 = 0
    private var isReleased = false
    /// The error of the last attempt to create a segment, for the writes that wait for room.
    private var roomError: StoreError?

    private var writer: LogWriter
    private var maintenance: MaintenanceWriter
    /// A Boolean value that indicates whether the maintenance thread waits without a limit.
    private var isMaintenanceIdle = false
    let directory: StoreDirectory
    let clock: StoreClock

    init(_ recovery: LogRecovery, _ time: TimeSource) {
        stateMachine = recovery.stateMachine
        writer = recovery.writer
        maintenance = recovery.maintenance
        directory = recovery.directory
        clock = StoreClock(startingAt: recovery.start, time)
    }

    // MARK: Calls

    /// Submits a request and waits until the content that the answer shows is durable.
    func submit<Result>(_ request: LogRequest<Result>) async throws(StoreError) -> Result {
        try directory.checkProcess()
        if !request.isRead, Task.isCancelled { throw .cancelled }
        let now = clock.now
        var submission = Swift.Result<Submission<Result>, StoreError>.success(.batchIsFull)
        // One critical section submits the request and adds the waiter. The continuation is resumed exactly once: here,
        // or by the writer thread, which resumes every waiter.
        let failure = await unsafe withUnsafeContinuation { continuation in
            monitor.lock()
            do throws(StoreError) {
                let answer = try submitOpen(request, now)
                submission = .success(answer)
                if case .answer(_, let batch, _) = answer, batch > stateMachine.durable {
                    add(unsafe .task(continuation), batch)
                    return monitor.unlock()
                }
            } catch {
                submission = .failure(error)
            }
            monitor.unlock()
            unsafe continuation.resume(returning: nil)
        }
        guard case .answer(let result, _, let isChange) = try submission.get() else {
            return try await submitQueued(request).get()
        }
        if let failure { throw isChange ? .unknownOutcome(failure) : failure }
        return result
    }

    /// Returns an entry that is durable and has not expired, or `nil` if only a request can answer.
    func durableEntry(_ key: StoreKey) throws(StoreError) -> StoreEntry? {
        try directory.checkProcess()
        let now = clock.now
        return withLock { stateMachine.durableEntry(key, now: now) }
    }

    /// Submits a request that did not wait in the queue.
    private func submitOpen<Result>(
        _ request: LogRequest<Result>,
        _ now: Int64
    ) throws(StoreError) -> Submission<Result> {
        try stateMachine.checkOpen()
        // Earlier writes in the wait queue come first.
        if !request.isRead, !waitQueue.isEmpty { return .batchIsFull }
        return try stateMachine.submit(request, now: now)
    }

    /// Adds a waiter for a batch that is not durable.
    ///
    /// The caller must hold the lock of `monitor`.
    private func add(_ waiter: Waiter, _ batch: UInt64) {
        if batch <= batchInFlight { return waitersInFlight.append(waiter) }
        openWaiters.append(waiter)
        openCount.store(openWaiters.count, ordering: .releasing)
        if openWaiters.count >= wakeAt { monitor.signal() }
    }

    /// Adds a request to the wait queue and waits for the answer.
    private func submitQueued<Result>(_ request: LogRequest<Result>) async -> Swift.Result<Result, StoreError> {
        let ticket = withLock { waitQueue.newTicket() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let rejection: StoreError? = withLock {
                    if let error = stateMachine.finalError { return error }
                    if !request.isRead, Task.isCancelled { return .cancelled }
                    let waiting = WaitQueue.Request(
                        resubmit: { [self] now, deferred, diskFullError in
                            resubmit(request, now, &deferred, diskFullError) { continuation.resume(returning: $0) }
                        },
                        reject: { continuation.resume(returning: .failure($0)) }
                    )
                    waitQueue.append(waiting, ticket)
                    monitor.signal()
                    return nil
                }
                if let rejection { continuation.resume(returning: .failure(rejection)) }
            }
        } onCancel: {
            if request.isRead { return }
            let cancelled = withLock { waitQueue.remove(ticket) }
            cancelled?.reject(.cancelled)
        }
    }

    /// Submits a waiting request again.
    ///
    /// The caller must hold the lock of `monitor`.
    private func resubmit<Result>(
        _ request: LogRequest<Result>,
        _ now: Int64,
        _ deferred: inout [@Sendable () -> Void],
        _ diskFullError: StoreError?,
        _ answer: @escaping @Sendable (Swift.Result<Result, StoreError>) -> Void
    ) -> Bool {
        do throws(StoreError) {
            switch try stateMachine.submit(request, now: now, isDiskFull: diskFullError != nil) {
            case .answer(let result, let batch, let isChange):
                if stateMachine.durable >= batch {
                    deferred.append { answer(.success(result)) }
                } else {
                    let waiter = Waiter.request { failure in
                        answer(failure.map { .failure(isChange ? .unknownOutcome($0) : $0) } ?? .success(result))
                    }
                    add(waiter, batch)
                }
            case .batchIsFull:
                return false
            case .logIsFull:
                guard let diskFullError else { return false }
                deferred.append { answer(.failure(diskFullError)) }
            }
        } catch {
            deferred.append { answer(.failure(error)) }
        }
        return true
    }

    /// Waits until all pending changes are written and the files are closed.
    func close() async {
        if !directory.isOwnProcess { return }
        let now = clock.now
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isReleased = withLock {
                if self.isReleased { return true }
                closeCompletions.append { continuation.resume() }
                stateMachine.close(now: now)
                monitor.signal()
                return false
            }
            if isReleased { continuation.resume() }
        }
    }

    /// Starts to close the store and returns immediately.
    func abandon() {
        if !directory.isOwnProcess { return }
        let now = clock.now
        withLock {
            stateMachine.close(now: now)
            monitor.signal()
        }
    }

    /// The store's usage and its limits.
    var usage: StoreUsage {
        let now = clock.now
        return withLock { stateMachine.usage(now: now) }
    }

    /// The error of the last attempt to rewrite the log, or `nil` if the attempt succeeded.
    var compactionFailure: StoreError? { withLock { stateMachine.compactionFailure } }

    // MARK: The threads

    /// Starts the two threads.
    ///
    /// - Returns: `false` if the system rejects a thread. The files are then closed.
    func start() -> Bool {
        let isMaintained = tryToStartThread {
            blockFileSizeSignal()
            self.maintain()
        }
        if isMaintained {
            let isStarted = tryToStartThread {
                blockFileSizeSignal()
                self.run()
            }
            if isStarted { return true }
            withLock {
                stateMachine.close(now: clock.now)
                monitor.signal(Self.maintenanceCondition)
                while !stateMachine.isMaintenanceStopped { monitor.wait(nanoseconds: nil) }
            }
        }
        writer.release()
        return false
    }

    /// Executes the steps on the log until the store is closed or has failed.
    private func run() {
        var lastCount = 0
        while true {
            var deferred: [@Sendable () -> Void] = []
            monitor.lock()
            gather(lastCount)
            let now = clock.now
            serveWaitQueue(now, &deferred, roomError)
            roomError = nil
            // A write that was rejected needs no segment, and a later write may find space.
            if waitQueue.isEmpty { stateMachine.clearRequirement() }
            let step = stateMachine.nextStep(hasWaiting: !waitQueue.isEmpty)
            deferred += takeEndedCompactions()
            // Waiting requests can join the next batch while the current batch is written.
            if case .flush = step {
                batchInFlight += 1
                swap(&waitersInFlight, &openWaiters)
                openCount.store(openWaiters.count, ordering: .relaxed)
                lastCount = waitersInFlight.count
                serveWaitQueue(now, &deferred, nil)
            }
            if stateMachine.isMaintenanceDue || isMaintenanceIdle && stateMachine.nextExpiry != nil {
                monitor.signal(Self.maintenanceCondition)
            }
            if case .wait = step, deferred.isEmpty {
                lastCount = 0
                wakeAt = 1
                monitor.wait(nanoseconds: nil)
                wakeAt = .max
            }
            monitor.unlock()
            for action in deferred { action() }
            if case .wait = step { continue }
            if case .stop = step { return release() }
            complete(step, writer.perform(step))
        }
    }

    /// Waits a moment for the callers of the last batch, who often call again.
    ///
    /// Without the wait, the first of them would get a sync alone, and the others would wait for two syncs. The thread
    /// does not sleep, because a wake-up takes as long as many commits.
    ///
    /// The caller must hold the lock of `monitor`.
    private func gather(_ lastCount: Int) {
        let expected = lastCount - lastCount / 8
        if lastCount == 0 || openWaiters.count >= expected || !waitQueue.isEmpty { return }
        monitor.unlock()
        let end = continuousNanoseconds() + Self.gatherLimit
        while openCount.load(ordering: .acquiring) < expected, continuousNanoseconds() < end { yieldProcessor() }
        monitor.lock()
    }

    private static let gatherLimit: Int64 = 100_000

    /// Executes the maintenance steps until the store is closed or has failed.
    private func maintain() {
        monitor.lock()
        defer { monitor.unlock() }
        while !stateMachine.isMaintenanceStopped {
            let now = clock.now
            let step = stateMachine.nextMaintenanceStep(now: now, hasWaiting: !waitQueue.isEmpty)
            if case .wait = step {
                if stateMachine.hasPendingCheckpoint { monitor.signal() }
                let untilExpiry = stateMachine.nextExpiry?.saturatingSubtract(now)
                isMaintenanceIdle = untilExpiry == nil
                // Expired content frees its memory and its space soon, and not with a wake-up for each entry.
                let wait = untilExpiry.map { min(max($0, Self.shortestPause), Self.longestPause) }
                monitor.wait(Self.maintenanceCondition, nanoseconds: wait)
                isMaintenanceIdle = false
                continue
            }
            monitor.unlock()
            let result = maintenance.perform(step)
            monitor.lock()
            stateMachine.completed(step, result)
            if case .prepare = step, case .failed(let error) = result { roomError = StoreError(error) }
            monitor.signal()
            let ended = takeEndedCompactions()
            if ended.isEmpty { continue }
            monitor.unlock()
            for resume in ended { resume() }
            monitor.lock()
        }
    }

    private static let shortestPause: Int64 = 20_000_000
    private static let longestPause: Int64 = 10_000_000_000

    /// Submits the waiting requests again up to the first that must continue to wait.
    ///
    /// The caller must hold the lock of `monitor`.
    private func serveWaitQueue(_ now: Int64, _ deferred: inout [@Sendable () -> Void], _ diskFullError: StoreError?) {
        if stateMachine.finalError != nil { return }
        stateMachine.clearRequirement()
        waitQueue.serve { $0.resubmit(now, &deferred, diskFullError) }
    }

    /// Records the result of a step and resumes the callers of a batch that ended.
    private func complete(_ step: LogStep, _ result: LogStepResult) {
        monitor.lock()
        stateMachine.completed(step, result)
        let error = stateMachine.finalError
        var ended: [Waiter] = []
        if case .flush = step { swap(&ended, &waitersInFlight) }
        let failed = error == nil ? [] : waitersInFlight + openWaiters
        if error != nil { (waitersInFlight, openWaiters) = ([], []) }
        let failure = stateMachine.durable >= batchInFlight ? nil : error
        let compactions = takeEndedCompactions()
        monitor.unlock()
        for resume in compactions { resume() }
        for waiter in ended { waiter.resume(failure) }
        for waiter in failed { waiter.resume(error) }
    }

    /// Closes the files, rejects the waiting requests and resumes the tasks that wait for the close.
    private func release() {
        writer.release()
        let (rejected, error, closed) = withLock {
            isReleased = true
            defer { closeCompletions = [] }
            return (waitQueue.takeAll(), stateMachine.finalError ?? .closed, closeCompletions)
        }
        for request in rejected { request.reject(error) }
        for completion in closed { completion() }
    }

    func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        monitor.lock()
        defer { monitor.unlock() }
        return try body()
    }
}
