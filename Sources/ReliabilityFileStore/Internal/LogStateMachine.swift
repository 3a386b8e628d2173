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
    /// Submit the request again after the next segment is prepared.
    case logIsFull
}

/// The next operation on the log.
package enum LogStep: Sendable {
    case wait
    case flush(FrameBuilder, LogPosition)
    /// Continues in the prepared segment, which begins with the frame of the manifest.
    case roll(LogFile, manifest: FrameBuilder, LogPosition)
    /// Records a checkpoint.
    case install(Checkpoint, LogPosition)
    case seal(LogPosition)
    case stop
}

/// The result of a step.
package enum LogStepResult {
    case done
    /// The step failed and the content of the log in use is unknown.
    case failed(FileSystemError)
}

/// A state machine that plans changes, groups the changes into batches and tracks the last durable batch.
///
/// The state machine receives requests and results of steps, and returns answers and steps. Files, threads and clocks
/// are left to the caller.
package struct LogStateMachine: Sendable {
    enum Phase {
        case open
        case closing
        case ended(StoreError)
    }

    /// The longest time in nanoseconds for which a store in use does not record its clock.
    private static let heartbeatInterval: Int64 = 3_600_000_000_000

    var state: StoreStateMachine
    var compaction: CompactionStateMachine
    let tuning: LogTuning
    /// The layout of the segment in use after the step that is being executed.
    var layout: LogLayout
    /// The end of the durable frames in the segment in use.
    var durableEnd: Int64
    var phase = Phase.open
    /// The batch that is being written.
    private var inFlightBatch: LogBatch?
    /// The batch that accepts writes.
    var openBatch: LogBatch
    private var openFrame = FrameBuilder()
    /// The number of the last durable batch.
    package private(set) var durable: UInt64 = 0
    /// The store's clock in the last durable frame.
    private var durableClock: Int64
    /// The store's clock in the frame that is being written.
    private var inFlightClock: Int64
    /// The last batch whose changes the checkpoint that is being written may contain.
    var checkpointBatch: UInt64 = 0
    /// The last time that could not be recorded because the disk was full.
    private var unrecordedClock: Int64 = .min

    init(_ state: StoreStateMachine, _ compaction: CompactionStateMachine, layout: LogLayout, tuning: LogTuning) {
        durableClock = state.now
        inFlightClock = state.now
        openBatch = LogBatch(number: 1, firstVersion: state.nextVersion)
        self.state = state
        self.compaction = compaction
        self.tuning = tuning
        self.layout = layout
        durableEnd = layout.end
    }

    /// The error of the last compaction, or `nil` if the compaction succeeded.
    var compactionFailure: StoreError? { compaction.failure }

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

    /// Returns a part of the content in its order and the place at which to continue, for checks.
    package func slice(from start: ContentKey) -> (mutations: [StoreMutation], next: ContentKey?) {
        state.slice(from: start, to: nil, limit: 256, maxBytes: .max)
    }

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
        switch request.body {
        case .read(let readSet, let read):
            return answer(try read(&state), readSet, isDiskFull: isDiskFull)
        case .write(let readSet, let makePlan):
            let plan = try makePlan(&state)
            if plan.mutations.isEmpty { return answer(plan.result, readSet, isDiskFull: isDiskFull) }
            let before = openFrame.payloadCount
            for mutation in plan.mutations { openFrame.append(mutation) }
            if !hasRoom(forOpenFrameAfter: before) { return .logIsFull }
            for mutation in plan.mutations { openBatch.insert(mutation) }
            state.apply(plan.mutations)
            return .answer(plan.result, durableWith: openBatch.number, isChange: true)
        case .writeEntry(let key, let makePlan):
            let plan = try makePlan(&state)
            guard let change = plan.change else {
                return answer(plan.result, .entry(key), isDiskFull: isDiskFull)
            }
            let before = openFrame.payloadCount
            openFrame.append(change.mutation)
            if !hasRoom(forOpenFrameAfter: before) { return .logIsFull }
            openBatch.insert(change.mutation)
            state.apply(change)
            return .answer(plan.result, durableWith: openBatch.number, isChange: true)
        }
    }

    /// Returns a Boolean value that indicates whether the log has room for the open frame.
    ///
    /// If there is no room, the frame loses the mutations after its first `before` bytes.
    private mutating func hasRoom(forOpenFrameAfter before: Int) -> Bool {
        if hasRoom(forFrameOf: openFrame.frameSize) { return true }
        openFrame.truncate(toPayload: before)
        return false
    }

    /// Returns an entry that is durable and has not expired, or `nil` if only a request can answer.
    ///
    /// The answer of a request would be the same. A request looks the key up once more for each of its checks.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - now: The store's clock.
    /// - Returns: The entry, or `nil`.
    package mutating func durableEntry(_ key: StoreKey, now: Int64) -> StoreEntry? {
        guard isOpen else { return nil }
        state.advance(to: now)
        guard !isHeartbeatDue, let entry = state.entry(key),
            entry.version.rawValue < (inFlightBatch ?? openBatch).firstVersion,
            !openBatch.otherKeys.contains(key), inFlightBatch?.otherKeys.contains(key) != true
        else { return nil }
        return entry
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

    var hasOpenFrame: Bool { openFrame.payloadCount > 0 || openBatch.isHeartbeat }

    private var isFull: Bool { openFrame.payloadCount >= tuning.batchLimit }

    /// Returns a Boolean value that indicates whether the segment in use or the prepared segment has room for a frame.
    private mutating func hasRoom(forFrameOf size: Int) -> Bool {
        // Each segment keeps room for its last frame and for a checkpoint. A store can therefore be closed, and its
        // compaction can end, while the disk is full.
        let needed = Int64(size + LogFormat.tailReserve)
        if layout.end + needed <= layout.reservedEnd { return true }
        let neededAfterRoll = firstFrame + needed
        if let prepared = compaction.prepared, neededAfterRoll <= prepared.layout.reservedEnd { return true }
        compaction.require(neededAfterRoll)
        return false
    }

    /// The offset of the first frame after the manifest of a new segment.
    private var firstFrame: Int64 {
        Int64(LogFormat.sectorSize + FrameBuilder(compaction.manifest).frameSize)
    }

    private func isDurable(_ time: Int64, _ clock: Int64) -> Bool { time <= clock / 1_000_000 }

    /// Returns the Unix milliseconds that a durable frame must reach before the answer, or `nil` for none.
    private func timeToRecord(_ readSet: ReadSet) -> Int64? {
        isHeartbeatDue ? state.now / 1_000_000 : expiryShown(by: readSet)
    }

    /// A Boolean value that indicates whether the next answer must record the store's clock.
    ///
    /// An opening rejects a wall clock that is too far ahead of the last frame, so a store in use records the time.
    private var isHeartbeatDue: Bool {
        state.now.saturatingSubtract(max(durableClock, unrecordedClock)) >= Self.heartbeatInterval
    }

    private func expiryShown(by readSet: ReadSet) -> Int64? {
        switch readSet {
        case .entry(let key): state.expiryShown(of: key)
        case .entries(let keys): keys.compactMap { state.expiryShown(of: $0) }.max()
        case .commit(let writes, _): writes.compactMap { state.expiryShown(of: $0.key) }.max()
        case .everything: state.expiryShown
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

    /// Clears the requirement of the waiting writes for room.
    ///
    /// A write that still waits sets the requirement again when it is resubmitted.
    package mutating func clearRequirement() { compaction.clearRequirement() }

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

    private func intersects(_ batch: LogBatch, _ readSet: ReadSet) -> Bool {
        switch readSet {
        case .entry(let key): isChanged(key, by: batch)
        case .entries(let keys): keys.contains { isChanged($0, by: batch) }
        case .queues(let queues): queues.contains { batch.contains($0) }
        case .commit(let writes, let records):
            writes.contains { isChanged($0.key, by: batch) } || records.contains { batch.contains($0.queue) }
        case .everything: true
        }
    }

    /// Returns a Boolean value that indicates whether a batch, or a later batch, changed an entry.
    private func isChanged(_ key: StoreKey, by batch: LogBatch) -> Bool {
        if let version = state.version(of: key), version >= batch.firstVersion { return true }
        return !batch.otherKeys.isEmpty && batch.otherKeys.contains(key)
    }

    // MARK: Steps

    var position: LogPosition { LogPosition(clock: state.now, nextVersion: state.nextVersion) }

    private func fits(_ size: Int) -> Bool { layout.end + Int64(size + LogFormat.sealSize) <= layout.reservedEnd }

    /// Returns the next step.
    ///
    /// The caller executes the step and reports the result with ``completed(_:_:)``.
    ///
    /// - Parameter hasWaiting: `true` if requests are in the wait queue.
    /// - Returns: The step.
    package mutating func nextStep(hasWaiting: Bool) -> LogStep {
        if finalError != nil { return compaction.isStopped ? .stop : .wait }
        // Without its batch, a checkpoint could make a part of a commit durable.
        if let checkpoint = compaction.pending, isOpen, durable >= checkpointBatch {
            let size = FrameBuilder(checkpoint).frameSize
            if fits(size + (hasOpenFrame ? openFrame.frameSize : 0)) {
                inFlightClock = clockBeforeOpenFrame
                layout.end += Int64(size)
                return .install(checkpoint, position)
            }
            if let step = roll() { return step }
            compaction.requireForCheckpoint(firstFrame + Int64(size + LogFormat.tailReserve))
        }
        if hasOpenFrame {
            if !fits(openFrame.frameSize) {
                if let step = roll() { return step }
                compaction.require(firstFrame + Int64(openFrame.frameSize + LogFormat.tailReserve))
                return .wait
            }
            let frame = openFrame
            layout.end += Int64(frame.frameSize)
            compaction.didAppend(frame.frameSize)
            openFrame = FrameBuilder()
            inFlightBatch = openBatch
            inFlightClock = state.now
            openBatch = LogBatch(number: openBatch.number + 1, firstVersion: state.nextVersion)
            return .flush(frame, position)
        }
        if case .closing = phase, !hasWaiting, compaction.isStopped { return .seal(position) }
        return .wait
    }

    private var isOpen: Bool { if case .open = phase { true } else { false } }

    private mutating func roll() -> LogStep? {
        let manifest = FrameBuilder(compaction.manifest)
        guard let prepared = compaction.prepared,
            firstFrame + Int64(LogFormat.tailReserve) <= prepared.layout.reservedEnd,
            let next = compaction.roll()
        else { return nil }
        layout = LogLayout(end: next.layout.end + Int64(manifest.frameSize), reservedEnd: next.layout.reservedEnd)
        inFlightClock = clockBeforeOpenFrame
        return .roll(next, manifest: manifest, position)
    }

    /// The clock that counts as recorded by a frame without the changes of the open batch.
    ///
    /// An entry of the open batch may have expired. Its absence is durable only together with the batch.
    private var clockBeforeOpenFrame: Int64 { hasOpenFrame ? durableClock : state.now }

    /// Records the result of a step.
    package mutating func completed(_ step: LogStep, _ result: LogStepResult) {
        if case .failed(let error) = result {
            phase = .ended(StoreError(.failed, "the store failed: \(error.explanation)", underlyingError: error))
            return
        }
        durableEnd = layout.end
        switch step {
        case .flush:
            if let inFlightBatch { durable = inFlightBatch.number }
            inFlightBatch = nil
            durableClock = inFlightClock
        case .install(let checkpoint, _):
            compaction.install(checkpoint)
            durableClock = inFlightClock
        case .roll:
            compaction.didRoll()
            durableClock = inFlightClock
        case .seal:
            phase = .ended(.closed)
        case .wait, .stop:
            break
        }
    }
}

extension StoreError {
    static var closed: StoreError { StoreError(.closed, "the store was closed") }
}
