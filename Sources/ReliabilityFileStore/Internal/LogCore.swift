internal import ReliabilityCore
internal import ReliabilityStore

/// What an answer reveals of the store's content.
enum Revealed: Sendable {
    case entries([StoreKey])
    case queues([RecordQueue])
    case commit([StoreWrite], [NewRecord])
    case everything
}

/// What became of a write that was handed to the core.
enum Submission<Result: Sendable>: Sendable {
    /// The answer, which holds once the batch of this number is durable; 0 for at once.
    case answer(Result, durableWith: UInt64, isChange: Bool)
    /// The batch is full: again after the next.
    case batchIsFull
    /// The log has no room: again after it was extended.
    case logIsFull
}

/// What the core wants done next.
enum LogStep: Sendable {
    case wait
    case flush(FrameBuilder, LogMoment)
    case extend(to: Int64, needed: Int64)
    case compact([StoreMutation], LogMoment)
    case seal(LogMoment)
    case stop
}

/// What became of a step.
enum LogStepResult {
    case done(LogLayout)
    case failed(FileSystemError)
}

/// The store's decisions: what is planned, what is written when, what is durable, what may be answered.
///
/// Events go in, steps come out. It knows no file, no thread and no clock.
struct LogCore: Sendable {
    private struct Batch {
        /// From 1.
        let number: UInt64
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
    private(set) var durable: UInt64 = 0

    init(_ state: StoreState, layout: LogLayout, tuning: LogTuning) {
        self.state = state
        self.tuning = tuning
        self.layout = layout
        openOffset = layout.end
        compactAt = 0
        compactAt = nextCompaction
    }

    /// Why nothing can be written any more.
    var end: StoreError? {
        if case .over(let error) = phase { return error }
        return nil
    }

    // MARK: Calls

    /// Answers a question; the answer holds once the batch of the number that comes with it is durable.
    mutating func read<Result>(
        now: Int64,
        _ revealed: Revealed,
        _ body: (inout StoreState) throws(StoreError) -> Result
    ) throws(StoreError) -> (result: Result, durableWith: UInt64) {
        try checkOpen()
        state.advance(to: now)
        return (try body(&state), batch(of: revealed))
    }

    /// Plans a write and puts it in the open batch.
    ///
    /// A write that waited for its turn is still made while the store closes.
    mutating func write<Result: Sendable>(
        now: Int64,
        _ revealed: Revealed,
        _ plan: (inout StoreState) throws(StoreError) -> StorePlan<Result>
    ) throws(StoreError) -> Submission<Result> {
        if let end { throw end }
        if isCompactionDue || openFrame.payloadCount >= tuning.batchLimit { return .batchIsFull }
        state.advance(to: now)
        let plan = try plan(&state)
        if plan.mutations.isEmpty {
            return .answer(plan.result, durableWith: batch(of: revealed), isChange: false)
        }
        let before = openFrame.payloadCount
        for mutation in plan.mutations { openFrame.append(mutation) }
        // The file always has room for the seal: a store can be closed when the disk is full.
        let needed = openOffset + Int64(openFrame.frameSize + LogFormat.sealSize)
        if needed > layout.reservedEnd {
            openFrame.truncate(toPayload: before)
            roomNeeded = needed
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

    /// Ends the store when everything before is written.
    mutating func close() {
        if case .open = phase { phase = .closing }
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
        if openFrame.payloadCount > 0, touches(open, revealed) { return open.number }
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
    mutating func nextStep(hasWaiting: Bool) -> LogStep {
        if end != nil { return .stop }
        if openFrame.payloadCount > 0 {
            let frame = openFrame
            openOffset += Int64(frame.frameSize)
            openFrame = FrameBuilder()
            flying = open
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
    mutating func completed(_ step: LogStep, _ result: LogStepResult) {
        switch (step, result) {
        case (.flush, .done(let layout)):
            self.layout = layout
            if let flying { durable = flying.number }
            flying = nil
            if layout.end >= compactAt { isCompactionDue = true }
        case (.extend, .done(let layout)):
            self.layout = layout
            roomNeeded = nil
        case (.compact, .done(let layout)):
            self.layout = layout
            openOffset = layout.end
            compactAt = nextCompaction
            isCompactionDue = false
        case (.seal, .done):
            phase = .over(.closed)
        case (.extend, .failed(let error)) where error.kind == .noSpace:
            // The writes that need the room are refused, and later ones ask for it again.
            roomNeeded = nil
        case (.compact, .failed(let error)) where error.kind == .noSpace:
            // The log as it is stays in use.
            compactAt = layout.end + tuning.compactionMinimum
            isCompactionDue = false
        case (_, .failed(let error)):
            phase = .over(StoreError(.failed, "the store failed: \(error.explanation)", underlyingError: error))
        case (.wait, .done), (.stop, .done):
            break
        }
    }
}

extension StoreError {
    static var closed: StoreError { StoreError(.closed, "the store was closed") }
}
