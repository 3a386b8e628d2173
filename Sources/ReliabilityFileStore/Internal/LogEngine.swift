internal import ReliabilityCore
internal import ReliabilityStore

/// Runs a `LogStateMachine`: serializes access, executes the steps on the writer thread and resumes waiting tasks.
final class LogEngine: @unchecked Sendable {
    // @unchecked Sendable: `stateMachine`, `waiting`, `waitQueue`, `nextTicket`, `completions`, `closeCompletions` and
    // `isReleased` are read and written only with `monitor` locked. Only the writer thread uses `writer`.

    /// A callback for the end of a batch: `nil` once the batch is durable, or the error that ended the store.
    private typealias Completion = @Sendable (StoreError?) -> Void

    /// A request in the wait queue.
    ///
    /// The queue is served in the order of arrival.
    private struct WaitingRequest {
        /// Submits the request again.
        ///
        /// Returns `false` if the request must continue to wait.
        let resubmit: (_ now: Int64, _ deferred: inout [@Sendable () -> Void], _ diskFullError: StoreError?) -> Bool
        let reject: @Sendable (StoreError) -> Void
    }

    private let monitor = ThreadMonitor()
    private var stateMachine: LogStateMachine
    private var waiting: [UInt64: WaitingRequest] = [:]
    /// The tickets of the waiting requests in the order of arrival.
    ///
    /// Tickets of cancelled requests can remain.
    private var waitQueue: [UInt64] = []
    private var nextTicket: UInt64 = 0
    /// The completions for each batch number.
    private var completions: [UInt64: [Completion]] = [:]
    private var closeCompletions: [@Sendable () -> Void] = []
    private var isReleased = false

    private var writer: LogWriter
    private let directory: StoreDirectory
    private let clock: StoreClock

    init(_ recovery: LogRecovery, _ time: TimeSource) {
        stateMachine = recovery.stateMachine
        writer = recovery.writer
        directory = recovery.directory
        clock = StoreClock(startingAt: recovery.start, time)
    }

    // MARK: Calls

    /// Submits a request and waits until the content that the answer shows is durable.
    func submit<Result>(_ request: LogRequest<Result>) async throws(StoreError) -> Result {
        try directory.checkProcess()
        if !request.isRead, Task.isCancelled { throw .cancelled }
        let now = clock.now
        let submission = try withLock { () throws(StoreError) -> Submission<Result> in
            try stateMachine.checkOpen()
            // Earlier writes in the wait queue come first.
            if !request.isRead, !waiting.isEmpty { return .batchIsFull }
            let submission = try stateMachine.submit(request, now: now)
            if case .answer(_, let batch, _) = submission, batch > stateMachine.durable { monitor.signal() }
            return submission
        }
        guard case .answer(let result, let batch, let isChange) = submission else {
            return try await submitQueued(request).get()
        }
        if let failure = await failure(of: batch) { throw isChange ? .unknownOutcome(failure) : failure }
        return result
    }

    /// Waits for the end of a batch.
    ///
    /// - Returns: `nil` once the batch is durable, or the error that ended the store before.
    private func failure(of batch: UInt64) async -> StoreError? {
        if batch == 0 { return nil }
        return await withCheckedContinuation { continuation in
            let (isKnown, failure): (Bool, StoreError?) = withLock {
                if stateMachine.durable >= batch { return (true, nil) }
                if let error = stateMachine.finalError { return (true, error) }
                completions[batch, default: []].append { continuation.resume(returning: $0) }
                return (false, nil)
            }
            if isKnown { continuation.resume(returning: failure) }
        }
    }

    /// Adds a request to the wait queue and waits for the answer.
    private func submitQueued<Result>(_ request: LogRequest<Result>) async -> Swift.Result<Result, StoreError> {
        let ticket = withLock {
            nextTicket += 1
            return nextTicket
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let rejection: StoreError? = withLock {
                    if let error = stateMachine.finalError { return error }
                    if !request.isRead, Task.isCancelled { return .cancelled }
                    waitQueue.append(ticket)
                    waiting[ticket] = WaitingRequest(
                        resubmit: { [self] now, deferred, diskFullError in
                            resubmit(request, now, &deferred, diskFullError) { continuation.resume(returning: $0) }
                        },
                        reject: { continuation.resume(returning: .failure($0)) }
                    )
                    monitor.signal()
                    return nil
                }
                if let rejection { continuation.resume(returning: .failure(rejection)) }
            }
        } onCancel: {
            if request.isRead { return }
            let cancelled = withLock { waiting.removeValue(forKey: ticket) }
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
                    completions[batch, default: []].append { failure in
                        answer(failure.map { .failure(isChange ? .unknownOutcome($0) : $0) } ?? .success(result))
                    }
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

    // MARK: The writer thread

    /// Executes the steps of the state machine until the store is closed or has failed.
    func run() {
        var diskFullError: StoreError?
        while true {
            var deferred: [@Sendable () -> Void] = []
            let now = clock.now
            monitor.lock()
            serveWaitQueue(now, &deferred, diskFullError)
            diskFullError = nil
            let step = stateMachine.nextStep(hasWaiting: !waiting.isEmpty)
            // Waiting requests can join the next batch while the current batch is written.
            if case .flush = step { serveWaitQueue(now, &deferred, nil) }
            if case .wait = step, deferred.isEmpty { monitor.wait(nanoseconds: nil) }
            monitor.unlock()
            for action in deferred { action() }
            if case .wait = step { continue }
            if case .stop = step { return release() }
            let result = writer.perform(step)
            if case .extend = step, case .recoverableFailure(let error) = result { diskFullError = StoreError(error) }
            for action in complete(step, result) { action() }
        }
    }

    /// Submits the waiting requests again up to the first that must continue to wait.
    ///
    /// The caller must hold the lock of `monitor`.
    private func serveWaitQueue(_ now: Int64, _ deferred: inout [@Sendable () -> Void], _ diskFullError: StoreError?) {
        if stateMachine.finalError != nil { return }
        stateMachine.clearRequiredEnd()
        var served = 0
        for ticket in waitQueue {
            if let request = waiting[ticket], !request.resubmit(now, &deferred, diskFullError) { break }
            waiting[ticket] = nil
            served += 1
        }
        waitQueue.removeFirst(served)
    }

    /// Records the result of a step.
    ///
    /// - Returns: The calls to make after the lock is released.
    private func complete(_ step: LogStep, _ result: LogStepResult) -> [@Sendable () -> Void] {
        withLock {
            stateMachine.completed(step, result)
            let durable = stateMachine.durable
            var deferred: [@Sendable () -> Void] = []
            for (batch, batchCompletions) in completions where batch <= durable || stateMachine.finalError != nil {
                let failure = batch <= durable ? nil : stateMachine.finalError
                deferred += batchCompletions.map { completion in { completion(failure) } }
                completions[batch] = nil
            }
            return deferred
        }
    }

    /// Closes the files, rejects the waiting requests and resumes the tasks that wait for the close.
    private func release() {
        writer.release()
        let (rejected, error, closed) = withLock {
            isReleased = true
            defer {
                waiting = [:]
                closeCompletions = []
            }
            return (waitQueue.compactMap { waiting[$0] }, stateMachine.finalError ?? .closed, closeCompletions)
        }
        for request in rejected { request.reject(error) }
        for completion in closed { completion() }
    }

    private func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        monitor.lock()
        defer { monitor.unlock() }
        return try body()
    }
}

extension StoreError {
    static var noThread: StoreError {
        StoreError(.unavailable, "the operating system could not start a thread for the store")
    }

    static var cancelled: StoreError { StoreError(.cancelled, "the task was cancelled before the write") }

    static func unknownOutcome(_ failure: StoreError) -> StoreError {
        StoreError(
            .unknownOutcome,
            "the store failed before the write was known to be durable",
            underlyingError: failure
        )
    }

    init(_ error: FileSystemError) {
        let reason: Reason =
            switch error.kind {
            case .noSpace: .diskFull
            case .locked: .locked
            case .rejected: .invalid
            case .readOnly: .readOnly
            case .notFound, .unsupported, .other: .unavailable
            }
        self.init(reason, error.explanation, underlyingError: error)
    }
}
