internal import ReliabilityCore
internal import ReliabilityStore

/// The core behind a lock, the thread that does what it wants done, and the tasks that wait for it.
final class LogEngine: @unchecked Sendable {
    // @unchecked Sendable: `core`, `waiting`, `line`, `nextTicket`, `watchers`, `closeWatchers` and `isReleased`
    // are read and written with `monitor` locked only; `writer` by the writer thread only.

    /// Told when a batch is durable, or why it never will be known to be.
    private typealias Watcher = @Sendable (StoreError?) -> Void

    /// A request that waits for its turn, first come, first served.
    private struct Waiting {
        /// Tries it again; false when it has to wait on.
        let attempt: (_ now: Int64, _ later: inout [@Sendable () -> Void], _ noRoom: StoreError?) -> Bool
        let refuse: @Sendable (StoreError) -> Void
    }

    private let monitor = ThreadMonitor()
    private var core: LogCore
    private var waiting: [UInt64: Waiting] = [:]
    /// The tickets of those who wait, and of some who left, in the order of their arrival.
    private var line: [UInt64] = []
    private var nextTicket: UInt64 = 0
    private var watchers: [UInt64: [Watcher]] = [:]
    private var closeWatchers: [@Sendable () -> Void] = []
    private var isReleased = false

    private var writer: LogWriter
    private let home: StoreHome
    private let clock: StoreClock

    init(_ opening: LogOpening, _ time: TimeSource) {
        core = opening.core
        writer = opening.writer
        home = opening.home
        clock = StoreClock(startingAt: opening.start, time)
    }

    // MARK: Calls

    /// Makes a request, and waits until its answer holds.
    func submit<Result>(_ request: LogRequest<Result>) async throws(StoreError) -> Result {
        try home.checkProcess()
        if !request.isRead, Task.isCancelled { throw .cancelled }
        let now = clock.now
        let submission = try locked { () throws(StoreError) -> Submission<Result> in
            try core.checkOpen()
            // Who waits to write comes first.
            if !request.isRead, !waiting.isEmpty { return .batchIsFull }
            let submission = try core.submit(request, now: now)
            if case .answer(_, let batch, _) = submission, batch > core.durable { monitor.signal() }
            return submission
        }
        guard case .answer(let result, let batch, let isChange) = submission else {
            return try await submitInTurn(request).get()
        }
        if let failure = await failure(of: batch) { throw isChange ? .unknownOutcome(failure) : failure }
        return result
    }

    /// Waits until the batch is durable; returns why it is not known to be.
    private func failure(of batch: UInt64) async -> StoreError? {
        if batch == 0 { return nil }
        return await withCheckedContinuation { continuation in
            let (isKnown, failure): (Bool, StoreError?) = locked {
                if core.durable >= batch { return (true, nil) }
                if let end = core.end { return (true, end) }
                watchers[batch, default: []].append { continuation.resume(returning: $0) }
                return (false, nil)
            }
            if isKnown { continuation.resume(returning: failure) }
        }
    }

    private func submitInTurn<Result>(_ request: LogRequest<Result>) async -> Swift.Result<Result, StoreError> {
        let ticket = locked {
            nextTicket += 1
            return nextTicket
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let refusal: StoreError? = locked {
                    if let end = core.end { return end }
                    if !request.isRead, Task.isCancelled { return .cancelled }
                    line.append(ticket)
                    waiting[ticket] = Waiting(
                        attempt: { [self] now, later, noRoom in
                            attempt(request, now, &later, noRoom) { continuation.resume(returning: $0) }
                        },
                        refuse: { continuation.resume(returning: .failure($0)) }
                    )
                    monitor.signal()
                    return nil
                }
                if let refusal { continuation.resume(returning: .failure(refusal)) }
            }
        } onCancel: {
            if request.isRead { return }
            let cancelled = locked { waiting.removeValue(forKey: ticket) }
            cancelled?.refuse(.cancelled)
        }
    }

    /// Tries a request that waits; with the monitor locked.
    private func attempt<Result>(
        _ request: LogRequest<Result>,
        _ now: Int64,
        _ later: inout [@Sendable () -> Void],
        _ noRoom: StoreError?,
        _ answer: @escaping @Sendable (Swift.Result<Result, StoreError>) -> Void
    ) -> Bool {
        do throws(StoreError) {
            switch try core.submit(request, now: now, noRoom: noRoom != nil) {
            case .answer(let result, let batch, let isChange):
                if core.durable >= batch {
                    later.append { answer(.success(result)) }
                } else {
                    watchers[batch, default: []].append { failure in
                        answer(failure.map { .failure(isChange ? .unknownOutcome($0) : $0) } ?? .success(result))
                    }
                }
            case .batchIsFull:
                return false
            case .logIsFull:
                guard let noRoom else { return false }
                later.append { answer(.failure(noRoom)) }
            }
        } catch {
            later.append { answer(.failure(error)) }
        }
        return true
    }

    /// Waits until everything is written and the files are closed.
    func close() async {
        if !home.isOwnProcess { return }
        let now = clock.now
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isReleased = locked {
                if self.isReleased { return true }
                closeWatchers.append { continuation.resume() }
                core.close(now: now)
                monitor.signal()
                return false
            }
            if isReleased { continuation.resume() }
        }
    }

    /// Closes without waiting for it.
    func abandon() {
        if !home.isOwnProcess { return }
        let now = clock.now
        locked {
            core.close(now: now)
            monitor.signal()
        }
    }

    /// The figures of the store's content.
    var usage: StoreUsage {
        let now = clock.now
        return locked { core.usage(now: now) }
    }

    /// The error of the last attempt to rewrite the log, or `nil` if it succeeded.
    var compactionFailure: StoreError? { locked { core.compactionFailure } }

    // MARK: The writer thread

    /// Does what the core wants done, until the store is closed or has failed.
    func run() {
        var noRoom: StoreError?
        while true {
            var later: [@Sendable () -> Void] = []
            let now = clock.now
            monitor.lock()
            serveWaiting(now, &later, noRoom)
            noRoom = nil
            let step = core.nextStep(hasWaiting: !waiting.isEmpty)
            // The next batch fills while this one is written.
            if case .flush = step { serveWaiting(now, &later, nil) }
            if case .wait = step, later.isEmpty { monitor.wait(nanoseconds: nil) }
            monitor.unlock()
            for action in later { action() }
            if case .wait = step { continue }
            if case .stop = step { return release() }
            let result = writer.perform(step)
            if case .extend = step, case .undone(let error) = result { noRoom = StoreError(error) }
            for action in complete(step, result) { action() }
        }
    }

    /// Lets the writes that wait have their turn; with the monitor locked.
    private func serveWaiting(_ now: Int64, _ later: inout [@Sendable () -> Void], _ noRoom: StoreError?) {
        if core.end != nil { return }
        core.forgetRoom()
        var served = 0
        for ticket in line {
            if let write = waiting[ticket], !write.attempt(now, &later, noRoom) { break }
            waiting[ticket] = nil
            served += 1
        }
        line.removeFirst(served)
    }

    private func complete(_ step: LogStep, _ result: LogStepResult) -> [@Sendable () -> Void] {
        locked {
            core.completed(step, result)
            let durable = core.durable
            var actions: [@Sendable () -> Void] = []
            for (batch, told) in watchers where batch <= durable || core.end != nil {
                let failure = batch <= durable ? nil : core.end
                actions += told.map { watcher in { watcher(failure) } }
                watchers[batch] = nil
            }
            return actions
        }
    }

    /// Gives everything back: nobody will write any more.
    private func release() {
        writer.release()
        let (refused, end, closed) = locked {
            isReleased = true
            defer {
                waiting = [:]
                closeWatchers = []
            }
            return (line.compactMap { waiting[$0] }, core.end ?? .closed, closeWatchers)
        }
        for write in refused { write.refuse(end) }
        for watcher in closed { watcher() }
    }

    private func locked<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        monitor.lock()
        defer { monitor.unlock() }
        return try body()
    }
}

extension StoreError {
    static var noThread: StoreError { StoreError(.unavailable, "the operating system refused a thread") }

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
            case .refused: .invalid
            case .readOnly: .readOnly
            case .notFound, .unsupported, .other: .unavailable
            }
        self.init(reason, error.explanation, underlyingError: error)
    }
}
