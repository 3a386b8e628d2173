internal import ReliabilityCore
package import ReliabilityStore

/// What became of a request that was handed to the core.
package enum Submission<Result: Sendable>: Sendable {
    /// The answer, which holds once the batch of this number is durable; 0 for at once.
    case answer(Result, durableWith: UInt64, isChange: Bool)
    /// Nothing can be written now: again after the next step.
    case batchIsFull
    /// The log has no room: again after it was extended.
    case logIsFull
}

/// What the core wants done next.
package enum LogStep: Sendable {
    case wait
    case flush(FrameBuilder, LogMoment)
    case extend(to: Int64, needed: Int64)
    case compact([StoreMutation], LogMoment)
    case seal(LogMoment)
    case stop
}

/// What became of a step.
package enum LogStepResult {
    case done(LogLayout)
    /// It failed, and the log that is in use is as it was before.
    case undone(FileSystemError)
    /// It failed, and nobody knows what the log that is in use holds.
    case failed(FileSystemError)
}

/// The store's decisions: what is planned, what is written when, what is durable, what may be answered.
///
/// Events go in, steps come out. It knows no file, no thread and no clock.
package struct LogCore: Sendable {
    private struct Batch {
        /// From 1.
        let number: UInt64
        /// Whether an answer waits for the time of the frame, whatever else is in it.
        var isMark = false
        var keys: Set<StoreKey> = []
        var queues: Set<[UInt8]> = []
    }

    private enum Phase {
        case open
        case closing
        case over(StoreError)
    }

    private var state: StoreState
    private let tuning: LogTuning
    private var layout: LogLayout
    private var phase = Phase.open
    private var isCompactionDue = false
    private var compactAt: Int64
    /// The error of the last attempt to rewrite the log, or `nil` if it succeeded.
    private(set) var compactionFailure: StoreError?
    /// Where the file has to reach for the write that waits; nil when none does.
    private var roomNeeded: Int64?
    /// The batch that is being written.
    private var flying: Batch?
    /// The batch that takes writes.
    private var open = Batch(number: 1)
    private var openFrame = FrameBuilder()
    /// Where the frame of the open batch will be.
    private var openOffset: Int64
    /// The last batch that is durable.
    package private(set) var durable: UInt64 = 0
    /// The store's clock in the last frame that is durable, and in the one that is being written.
    private var durableClock: Int64
    private var flyingClock: Int64
    /// The time at which there was no room to record the time.
    private var untimedAt: Int64 = .min

    init(_ state: StoreState, layout: LogLayout, tuning: LogTuning) {
        self.state = state
        self.tuning = tuning
        self.layout = layout
        durableClock = state.now
        flyingClock = state.now
        openOffset = layout.end
        compactAt = 0
        compactAt = nextCompaction
    }

    /// Why nothing can be written any more.
    package var end: StoreError? {
        if case .over(let error) = phase { return error }
        return nil
    }

    /// The figures of the store's content.
    mutating func usage(now: Int64) -> StoreUsage {
        state.advance(to: now)
        return state.usage
    }

    /// All that the store holds.
    package var content: [StoreMutation] { state.snapshot() }

    // MARK: Calls

    /// Answers a request, and puts what it changes in the open batch.
    ///
    /// One that waited for its turn is still answered while the store closes.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - now: The store's clock.
    ///   - noRoom: Whether the log could not be extended: an answer without a change does not wait for it.
    /// - Returns: The answer, or why there is none yet.
    /// - Throws: `StoreError` when the request is refused.
    package mutating func submit<Result>(
        _ request: LogRequest<Result>,
        now: Int64,
        noRoom: Bool = false
    ) throws(StoreError) -> Submission<Result> {
        if let end { throw end }
        if !request.isRead, isFull { return .batchIsFull }
        state.advance(to: now)
        let plan = try request.plan(&state)
        if plan.mutations.isEmpty { return answer(plan.result, request.revealed, noRoom: noRoom) }
        let before = openFrame.payloadCount
        for mutation in plan.mutations { openFrame.append(mutation) }
        // The file always has room for the seal: a store can be closed when the disk is full.
        if !hasRoom(forFrameOf: openFrame.frameSize) {
            openFrame.truncate(toPayload: before)
            return .logIsFull
        }
        for mutation in plan.mutations {
            switch mutation {
            case .put(let key, _), .remove(let key): open.keys.insert(key)
            case .putRecord(let record): open.queues.insert(Array(record.queue.utf8))
            case .removeRecord(let queue, _): open.queues.insert(Array(queue.utf8))
            }
        }
        state.apply(plan.mutations)
        return .answer(plan.result, durableWith: open.number, isChange: true)
    }

    /// Answers without a change, once what the answer shows is durable.
    private mutating func answer<Result>(
        _ result: Result,
        _ revealed: Revealed,
        noRoom: Bool
    ) -> Submission<Result> {
        let batch = batch(of: revealed)
        // What has expired is written nowhere but in the time of a frame. Without that, a clock that was set back
        // would bring it to life again at the next opening.
        guard batch < open.number, let time = timeToRecord(revealed), !isDurable(time, durableClock) else {
            return .answer(result, durableWith: batch, isChange: false)
        }
        if let flying, isDurable(time, flyingClock) {
            return .answer(result, durableWith: flying.number, isChange: false)
        }
        if !hasOpenFrame {
            if noRoom {
                untimedAt = state.now
                return .answer(result, durableWith: batch, isChange: false)
            }
            if isFull { return .batchIsFull }
            if !hasRoom(forFrameOf: openFrame.frameSize) { return .logIsFull }
            open.isMark = true
        }
        return .answer(result, durableWith: open.number, isChange: false)
    }

    private var hasOpenFrame: Bool { openFrame.payloadCount > 0 || open.isMark }

    private var isFull: Bool { isCompactionDue || openFrame.payloadCount >= tuning.batchLimit }

    private mutating func hasRoom(forFrameOf size: Int) -> Bool {
        let needed = openOffset + Int64(size + LogFormat.sealSize)
        if needed <= layout.reservedEnd { return true }
        roomNeeded = needed
        return false
    }

    private func isDurable(_ time: Int64, _ clock: Int64) -> Bool { time <= clock / 1_000_000 }

    /// The time, in Unix milliseconds, that a frame has to have before an answer holds, or `nil` for none.
    private func timeToRecord(_ revealed: Revealed) -> Int64? {
        // The next opening takes the wall clock for wrong that is too far ahead of the last frame.
        let last = max(durableClock, untimedAt)
        if state.now.saturatingSubtract(last) >= tuning.timeInterval { return state.now / 1_000_000 }
        return expiryShown(by: revealed)
    }

    private func expiryShown(by revealed: Revealed) -> Int64? {
        switch revealed {
        case .entries(let keys): state.expiryShown(of: keys)
        case .commit(let writes, _): state.expiryShown(of: writes.map(\.key))
        case .everything: state.expiryShown(of: nil)
        case .queues: nil
        }
    }

    /// Ends the store when everything before is written.
    ///
    /// - Parameter now: The store's clock, which the seal records.
    package mutating func close(now: Int64) {
        guard case .open = phase else { return }
        phase = .closing
        state.advance(to: now)
    }

    /// Forgets that a write needed room; one that still waits says so again.
    mutating func forgetRoom() { roomNeeded = nil }

    /// Whether calls are taken.
    func checkOpen() throws(StoreError) {
        switch phase {
        case .open: return
        case .closing: throw .closed
        case .over(let error): throw error
        }
    }

    /// The last batch with a change that `revealed` shows; 0 when all of them are durable.
    private func batch(of revealed: Revealed) -> UInt64 {
        if hasOpenFrame, touches(open, revealed) { return open.number }
        if let flying, touches(flying, revealed) { return flying.number }
        return 0
    }

    private func touches(_ batch: Batch, _ revealed: Revealed) -> Bool {
        func touches(_ queue: RecordQueue) -> Bool {
            !batch.queues.isEmpty && batch.queues.contains(Array(queue.description.utf8))
        }
        return switch revealed {
        case .entries(let keys): keys.contains { batch.keys.contains($0) }
        case .queues(let queues): queues.contains(where: touches)
        case .commit(let writes, let records):
            writes.contains { batch.keys.contains($0.key) } || records.contains { touches($0.queue) }
        case .everything: true
        }
    }

    // MARK: Steps

    private var moment: LogMoment { LogMoment(clock: state.now, nextVersion: state.nextVersion) }

    private var nextCompaction: Int64 {
        layout.floor + max(tuning.compactionMinimum, 3 * (layout.floor - Int64(LogFormat.sectorSize)))
    }

    /// What to do now; the caller does it and then says so with ``completed(_:_:)``.
    ///
    /// - Parameter hasWaiting: Whether writes wait for their turn.
    /// - Returns: The step.
    package mutating func nextStep(hasWaiting: Bool) -> LogStep {
        if end != nil { return .stop }
        if hasOpenFrame {
            let frame = openFrame
            openOffset += Int64(frame.frameSize)
            openFrame = FrameBuilder()
            flying = open
            flyingClock = state.now
            open = Batch(number: open.number + 1)
            return .flush(frame, moment)
        }
        if case .closing = phase, !hasWaiting { return .seal(moment) }
        if isCompactionDue { return .compact(state.snapshot(), moment) }
        if let needed = roomNeeded, hasWaiting {
            return .extend(to: max(needed, layout.reservedEnd + tuning.growth), needed: needed)
        }
        return .wait
    }

    /// Takes note of what became of a step.
    package mutating func completed(_ step: LogStep, _ result: LogStepResult) {
        switch (step, result) {
        case (.flush, .done(let layout)):
            self.layout = layout
            if let flying { durable = flying.number }
            flying = nil
            durableClock = flyingClock
            if layout.end >= compactAt { isCompactionDue = true }
        case (.extend, .done(let layout)):
            self.layout = layout
            roomNeeded = nil
        case (.compact(_, let moment), .done(let layout)):
            self.layout = layout
            durableClock = moment.clock
            openOffset = layout.end
            compactAt = nextCompaction
            isCompactionDue = false
            compactionFailure = nil
        case (.seal, .done):
            phase = .over(.closed)
        case (.extend, .undone):
            // The writes that need the room are refused, and later ones ask for it again.
            roomNeeded = nil
        case (.compact, .undone(let error)):
            // The log as it is stays in use.
            compactAt = layout.end + tuning.compactionMinimum
            isCompactionDue = false
            compactionFailure = StoreError(error)
        case (_, .undone(let error)), (_, .failed(let error)):
            phase = .over(StoreError(.failed, "the store failed: \(error.explanation)", underlyingError: error))
        case (.wait, .done), (.stop, .done):
            break
        }
    }
}

extension StoreError {
    static var closed: StoreError { StoreError(.closed, "the store was closed") }
}
