internal import ReliabilityCore
package import ReliabilityStore

/// The state machine's response to a request.
package enum Submission<Result: Sendable>: Sendable {
    /// An answer that must wait until the batch with this number is durable.
    ///
    /// Number 0 means that the answer need not wait.
    case answer(Result, durableWith: UInt64, isChange: Bool)
    /// The open batch accepts no writes.
    ///
    /// Submit the request again after the next step.
    case batchIsFull
    /// The log has no room for the write.
    ///
    /// Submit the request again after the log is extended.
    case logIsFull
}

/// The next operation on the log.
package enum LogStep: Sendable {
    case wait
    case flush(FrameBuilder, LogPosition)
    case extend(to: Int64, needed: Int64)
    case compact([StoreMutation], LogPosition)
    case seal(LogPosition)
    case stop
}

/// The result of a step.
package enum LogStepResult {
    case done(LogLayout)
    /// The step failed and the log in use is unchanged.
    case recoverableFailure(FileSystemError)
    /// The step failed and the content of the log in use is unknown.
    case fatalFailure(FileSystemError)
}

/// A state machine that plans changes, groups the changes into batches and tracks the last durable batch.
///
/// The state machine receives requests and results of steps, and returns answers and steps. Files, threads and clocks
/// are left to the caller.
package struct LogStateMachine: Sendable {
    private struct Batch {
        /// The number of the batch.
        ///
        /// The first batch has number 1.
        let number: UInt64
        /// A Boolean value that indicates whether an answer waits for the clock in the frame.
        ///
        /// A heartbeat is written even if the batch has no changes.
        var isHeartbeat = false
        var keys: Set<StoreKey> = []
        var queues: Set<QueueName> = []
    }

    private enum Phase {
        case open
        case closing
        case ended(StoreError)
    }

    /// The longest time in nanoseconds for which a store in use does not record its clock.
    private static let heartbeatInterval: Int64 = 3_600_000_000_000

    private var state: StoreStateMachine
    private let tuning: LogTuning
    private var layout: LogLayout
    private var phase = Phase.open
    private var isCompactionDue = false
    private var compactAt: Int64
    /// The error of the last attempt to rewrite the log, or `nil` if the attempt succeeded.
    private(set) var compactionFailure: StoreError?
    /// The reserved end that a waiting write needs, or `nil` if no write waits for room.
    private var requiredEnd: Int64?
    /// The batch that is being written.
    private var inFlightBatch: Batch?
    /// The batch that accepts writes.
    private var openBatch = Batch(number: 1)
    private var openFrame = FrameBuilder()
    /// The offset of the open batch's frame.
    private var openOffset: Int64
    /// The number of the last durable batch.
    package private(set) var durable: UInt64 = 0
    /// The store's clock in the last durable frame.
    private var durableClock: Int64
    /// The store's clock in the frame that is being written.
    private var inFlightClock: Int64
    /// The last time that could not be recorded because the disk was full.
    private var unrecordedClock: Int64 = .min

    init(_ state: StoreStateMachine, layout: LogLayout, tuning: LogTuning) {
        self.state = state
        self.tuning = tuning
        self.layout = layout
        durableClock = state.now
        inFlightClock = state.now
        openOffset = layout.end
        compactAt = 0
        compactAt = nextCompaction
    }

    /// The error that ended the store, or `nil` while the store accepts writes.
    package var finalError: StoreError? {
        if case .ended(let error) = phase { return error }
        return nil
    }

    /// Returns the store's usage and its limits.
    mutating func usage(now: Int64) -> StoreUsage {
        state.advance(to: now)
        return state.usage
    }

    /// The whole content of the store.
    package var content: [StoreMutation] { state.snapshot() }

    // MARK: Calls

    /// Answers a request and adds its changes to the open batch.
    ///
    /// A request from the wait queue is still answered while the store closes.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - now: The store's clock.
    ///   - isDiskFull: `true` if the log could not be extended. An answer without a change then does not wait for room.
    /// - Returns: The answer or the reason for a delay.
    /// - Throws: `StoreError` if the request is rejected.
    package mutating func submit<Result>(
        _ request: LogRequest<Result>,
        now: Int64,
        isDiskFull: Bool = false
    ) throws(StoreError) -> Submission<Result> {
        if let finalError { throw finalError }
        if !request.isRead, isFull { return .batchIsFull }
        state.advance(to: now)
        let plan = try request.plan(&state)
        if plan.mutations.isEmpty { return answer(plan.result, request.readSet, isDiskFull: isDiskFull) }
        let before = openFrame.payloadCount
        for mutation in plan.mutations { openFrame.append(mutation) }
        // The file always keeps room for the seal, so a store can be closed while the disk is full.
        if !hasRoom(forFrameOf: openFrame.frameSize) {
            openFrame.truncate(toPayload: before)
            return .logIsFull
        }
        for mutation in plan.mutations {
            switch mutation {
            case .put(let key, _), .remove(let key): openBatch.keys.insert(key)
            case .putRecord(let record): openBatch.queues.insert(QueueName(record.queue))
            case .removeRecord(let queue, _): openBatch.queues.insert(QueueName(queue))
            }
        }
        state.apply(plan.mutations)
        return .answer(plan.result, durableWith: openBatch.number, isChange: true)
    }

    /// Answers a request without changes.
    ///
    /// The answer waits until the content that it shows is durable.
    private mutating func answer<Result>(
        _ result: Result,
        _ readSet: ReadSet,
        isDiskFull: Bool
    ) -> Submission<Result> {
        let batch = batchToAwait(for: readSet)
        // The log records an expiry only through the clock of a frame. Without a later frame, an opening after the wall
        // clock was set back would show the expired entry again.
        guard batch < openBatch.number, let time = timeToRecord(readSet), !isDurable(time, durableClock) else {
            return .answer(result, durableWith: batch, isChange: false)
        }
        if let inFlightBatch, isDurable(time, inFlightClock) {
            return .answer(result, durableWith: inFlightBatch.number, isChange: false)
        }
        if !hasOpenFrame {
            if isDiskFull {
                unrecordedClock = state.now
                return .answer(result, durableWith: batch, isChange: false)
            }
            if isFull { return .batchIsFull }
            if !hasRoom(forFrameOf: openFrame.frameSize) { return .logIsFull }
            openBatch.isHeartbeat = true
        }
        return .answer(result, durableWith: openBatch.number, isChange: false)
    }

    private var hasOpenFrame: Bool { openFrame.payloadCount > 0 || openBatch.isHeartbeat }

    private var isFull: Bool { isCompactionDue || openFrame.payloadCount >= tuning.batchLimit }

    private mutating func hasRoom(forFrameOf size: Int) -> Bool {
        let needed = openOffset + Int64(size + LogFormat.sealSize)
        if needed <= layout.reservedEnd { return true }
        requiredEnd = needed
        return false
    }

    private func isDurable(_ time: Int64, _ clock: Int64) -> Bool { time <= clock / 1_000_000 }

    /// Returns the Unix milliseconds that a durable frame must reach before the answer, or `nil` for none.
    private func timeToRecord(_ readSet: ReadSet) -> Int64? {
        // An opening rejects a wall clock that is too far ahead of the last frame, so a store in use records the time.
        let last = max(durableClock, unrecordedClock)
        if state.now.saturatingSubtract(last) >= Self.heartbeatInterval { return state.now / 1_000_000 }
        return expiryShown(by: readSet)
    }

    private func expiryShown(by readSet: ReadSet) -> Int64? {
        switch readSet {
        case .entries(let keys): state.expiryShown(of: keys)
        case .commit(let writes, _): state.expiryShown(of: writes.map(\.key))
        case .everything: state.expiryShown(of: nil)
        case .queues: nil
        }
    }

    /// Closes the store once all pending changes are written.
    ///
    /// - Parameter now: The store's clock for the seal.
    package mutating func close(now: Int64) {
        guard case .open = phase else { return }
        phase = .closing
        state.advance(to: now)
    }

    /// Clears the required end.
    ///
    /// A write that still waits sets the required end again when it is resubmitted.
    mutating func clearRequiredEnd() { requiredEnd = nil }

    /// Throws an error if the store is closing or has ended.
    func checkOpen() throws(StoreError) {
        switch phase {
        case .open: return
        case .closing: throw .closed
        case .ended(let error): throw error
        }
    }

    /// Returns the number of the last batch that changes the read set, or 0 if all such changes are durable.
    private func batchToAwait(for readSet: ReadSet) -> UInt64 {
        if hasOpenFrame, intersects(openBatch, readSet) { return openBatch.number }
        if let inFlightBatch, intersects(inFlightBatch, readSet) { return inFlightBatch.number }
        return 0
    }

    private func intersects(_ batch: Batch, _ readSet: ReadSet) -> Bool {
        switch readSet {
        case .entries(let keys): keys.contains { batch.keys.contains($0) }
        case .queues(let queues): queues.contains { batch.queues.contains($0) }
        case .commit(let writes, let records):
            writes.contains { batch.keys.contains($0.key) } || records.contains { batch.queues.contains($0.queue) }
        case .everything: true
        }
    }

    // MARK: Steps

    private var position: LogPosition { LogPosition(clock: state.now, nextVersion: state.nextVersion) }

    private var nextCompaction: Int64 {
        layout.floor + max(tuning.compactionMinimum, 3 * (layout.floor - Int64(LogFormat.sectorSize)))
    }

    /// Returns the next step.
    ///
    /// The caller executes the step and reports the result with ``completed(_:_:)``.
    ///
    /// - Parameter hasWaiting: `true` if requests are in the wait queue.
    /// - Returns: The step.
    package mutating func nextStep(hasWaiting: Bool) -> LogStep {
        if finalError != nil { return .stop }
        if hasOpenFrame {
            let frame = openFrame
            openOffset += Int64(frame.frameSize)
            openFrame = FrameBuilder()
            inFlightBatch = openBatch
            inFlightClock = state.now
            openBatch = Batch(number: openBatch.number + 1)
            return .flush(frame, position)
        }
        if case .closing = phase, !hasWaiting { return .seal(position) }
        if isCompactionDue { return .compact(state.snapshot(), position) }
        if let needed = requiredEnd, hasWaiting {
            return .extend(to: max(needed, layout.reservedEnd + tuning.growth), needed: needed)
        }
        return .wait
    }

    /// Records the result of a step.
    package mutating func completed(_ step: LogStep, _ result: LogStepResult) {
        switch (step, result) {
        case (.flush, .done(let layout)):
            self.layout = layout
            if let inFlightBatch { durable = inFlightBatch.number }
            inFlightBatch = nil
            durableClock = inFlightClock
            if layout.end >= compactAt { isCompactionDue = true }
        case (.extend, .done(let layout)):
            self.layout = layout
            requiredEnd = nil
        case (.compact(_, let position), .done(let layout)):
            self.layout = layout
            durableClock = position.clock
            openOffset = layout.end
            compactAt = nextCompaction
            isCompactionDue = false
            compactionFailure = nil
        case (.seal, .done):
            phase = .ended(.closed)
        case (.extend, .recoverableFailure):
            // The engine rejects the writes that need the room. Later writes set the required end again.
            requiredEnd = nil
        case (.compact, .recoverableFailure(let error)):
            // The present log stays in use.
            compactAt = layout.end + tuning.compactionMinimum
            isCompactionDue = false
            compactionFailure = StoreError(error)
        case (_, .recoverableFailure(let error)), (_, .fatalFailure(let error)):
            phase = .ended(StoreError(.failed, "the store failed: \(error.explanation)", underlyingError: error))
        case (.wait, .done), (.stop, .done):
            break
        }
    }
}

extension StoreError {
    static var closed: StoreError { StoreError(.closed, "the store was closed") }
}
