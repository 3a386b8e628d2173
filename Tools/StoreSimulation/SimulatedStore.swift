package import ReliabilityFileStore
package import ReliabilityStore

/// The file store without its threads.
///
/// It executes one step on demand, on a clock that stands still during the step. A step of the log and a step of the
/// maintenance can be in progress at the same time, as on the two threads.
///
/// The calls determine the run, so a run can be repeated and stopped between any two calls to the file system.
package final class SimulatedStore {
    /// An answer and the batch that must be durable before the answer is given.
    package struct Ticket: Hashable {
        package var answer: StoreAnswer
        /// The batch that must be durable first, or 0 for none.
        package var batch: UInt64
        package var isChange: Bool
        /// A Boolean value that indicates whether the answer was given because the disk was full.
        package var wasDiskFull = false
    }

    package let fileSystem: SimulatedFileSystem
    package let recovery: RecoveryReport
    package let capabilities: StoreCapabilities
    /// The start of the store's clock.
    package let start: Int64
    /// The store's clock, in nanoseconds since 1970.
    package private(set) var now: Int64

    /// A violation of the rules for steps, or `nil` for none.
    package private(set) var problem: String?

    /// The last segment before the opening: its name and the end of its frames, or `nil` without a segment.
    package let recoveredLog: (name: String, end: Int64)?
    /// The name of the segment in use.
    package private(set) var logName: String

    private var stateMachine: LogStateMachine
    private var writer: LogWriter
    private var maintenance: MaintenanceWriter
    private let snapshots: SnapshotWriter
    private var begun: LogStep?
    private var begunMaintenance: MaintenanceStep?
    /// The number of checkpoints with a frame in the segment in use.
    private var checkpointsInSegment = 0
    /// A Boolean value that indicates whether a prepared segment was removed for a segment that could not be created.
    private var hasLostSegment = false
    private var isClosing = false
    /// The number of steps since the last call.
    private var stepCount = 0
    /// A number of steps beyond the steps that a compaction of all content takes.
    private static let stepLimit = 10_000
    /// The number of maintenance steps that failed since the last call.
    private var failureCount = 0
    private static let failureLimit = 20

    /// Opens the store.
    ///
    /// - Parameters:
    ///   - fileSystem: The file system.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - configuration: The limits.
    ///   - tuning: The sizes of the log.
    /// - Throws: The error of the opening.
    package init(
        _ fileSystem: SimulatedFileSystem,
        unixTime: Int64,
        configuration: FileStore.Configuration = .init(),
        tuning: LogTuning = LogTuning()
    ) throws(StoreError) {
        let logRecovery = try LogRecovery(
            at: "store",
            configuration: configuration,
            fileSystem: fileSystem,
            unixTime: unixTime,
            tuning: tuning
        )
        self.fileSystem = fileSystem
        stateMachine = logRecovery.stateMachine
        writer = logRecovery.writer
        maintenance = logRecovery.maintenance
        snapshots = logRecovery.snapshots
        recoveredLog = logRecovery.files.tail
        logName = logRecovery.writer.fileName
        recovery = logRecovery.report
        capabilities = logRecovery.capabilities
        start = logRecovery.start
        now = start
    }

    /// The last durable batch.
    package var durable: UInt64 { stateMachine.durable }

    /// The content of the store.
    package var content: StoreContent {
        var mutations: [StoreMutation] = []
        var start = ContentKey.start
        while true {
            let slice = stateMachine.slice(from: start)
            mutations += slice.mutations
            guard let next = slice.next else { return StoreContent(snapshot: mutations, now: now) }
            // Without order, a reader would find the same content forever.
            if next <= start {
                problem = "the content has no order"
                return StoreContent(snapshot: mutations, now: now)
            }
            start = next
        }
    }

    /// The names of all files that the store has, except for LOCK and files that are to be removed.
    package var fileNames: Set<String> { stateMachine.fileNames }

    /// The names of the files with content that the store needs.
    package var neededFileNames: Set<String> { stateMachine.neededFileNames }

    /// The permanent failure of the store, or `nil` for none.
    package var end: StoreError? { stateMachine.finalError }

    /// Advances the clock.
    package func advance(by nanoseconds: Int64) {
        let (sum, overflow) = now.addingReportingOverflow(max(0, nanoseconds))
        now = overflow ? .max : sum
    }

    // MARK: Calls

    /// Submits an operation after exactly the steps for which it has to wait.
    package func submit(_ operation: WorkloadOperation) -> Ticket {
        stepCount = 0
        failureCount = 0
        var rejection: StoreError.Reason?
        // Each iteration executes a step. A write waits for a few steps of the log and for a segment. A store that
        // accepts nothing after many more steps would hang.
        for _ in 0..<30 {
            let isFull = rejection != nil
            let submission = StoreSimulation.submit(operation, to: &stateMachine, now: now, isDiskFull: isFull)
            switch submission {
            case .answer(let answer, let batch, let isChange):
                return Ticket(answer: answer, batch: batch, isChange: isChange, wasDiskFull: rejection != nil)
            case .logIsFull, .batchIsFull:
                if case .logIsFull = submission, let rejection {
                    stateMachine.clearRequirement()
                    return Ticket(answer: .rejected(rejection), batch: 0, isChange: false, wasDiskFull: true)
                }
                if finishLogStep() { continue }
                begun = stateMachine.nextStep(hasWaiting: true)
                if case .wait = begun {
                    begun = nil
                    if begunMaintenance == nil { beginMaintenanceStep(hasWaiting: true) }
                    if case .prepare = begunMaintenance, case .failed(let error) = finishMaintenanceStep() {
                        rejection = error.kind == .noSpace ? .diskFull : .unavailable
                    }
                    finishMaintenanceStep()
                }
            }
        }
        problem = Self.hang
        return Ticket(answer: .rejected(.unavailable), batch: 0, isChange: false)
    }

    /// Returns the answer to a caller, or `nil` while the caller has to wait.
    package func answer(to ticket: Ticket) -> StoreAnswer? {
        if stateMachine.durable >= ticket.batch { return ticket.answer }
        guard let end = stateMachine.finalError else { return nil }
        return .rejected(ticket.isChange ? .unknownOutcome : end.reason)
    }

    /// Makes a call and executes steps until the call has its answer.
    package func call(_ operation: WorkloadOperation) -> StoreAnswer {
        let ticket = submit(operation)
        while true {
            if let answer = answer(to: ticket) { return answer }
            if finishStep() || beginStep() { continue }
            problem = Self.hang
            return .rejected(.unavailable)
        }
    }

    private static let hang = "the store neither answers nor does anything"

    // MARK: Steps

    /// A Boolean value that indicates whether a checkpoint file is being written.
    package var isCompacting: Bool { if case .write = begunMaintenance { true } else { false } }

    /// A Boolean value that indicates whether the frame of a checkpoint is being written.
    package var isInstalling: Bool { if case .install = begun { true } else { false } }

    /// Takes the next step of the log, or else of the maintenance, from the state machine without executing it.
    ///
    /// Returns `false` if there is no step.
    @discardableResult
    package func beginStep() -> Bool {
        if beginLogStep() || beginMaintenanceStep() {
            stepCount += 1
            if stepCount > Self.stepLimit { problem = "the steps of the store never end" }
            return problem == nil
        }
        // Each segment keeps room for one checkpoint, so a compaction can end on a full disk.
        // A prepared segment also has this room, and a segment that could not replace the prepared segment loses it.
        if stateMachine.hasPendingCheckpoint, checkpointsInSegment == 0, !hasLostSegment, !isClosing, end == nil {
            problem = "a checkpoint waits for room in the log"
        }
        return false
    }

    /// Takes the next step of the log from the state machine without executing it.
    ///
    /// Returns `false` if there is no step.
    @discardableResult
    package func beginLogStep() -> Bool {
        if begun != nil { return true }
        let step = stateMachine.nextStep(hasWaiting: false)
        switch step {
        case .wait, .stop: return false
        case .flush, .roll, .install, .seal: begun = step
        }
        return true
    }

    /// Takes the next maintenance step from the state machine without executing it.
    ///
    /// Returns `false` if there is no step.
    @discardableResult
    package func beginMaintenanceStep(hasWaiting: Bool = false) -> Bool {
        if begunMaintenance != nil { return true }
        let hadCheckpoint = stateMachine.hasPendingCheckpoint
        let step = stateMachine.nextMaintenanceStep(now: now, hasWaiting: hasWaiting)
        if case .wait = step {
            // A range without content becomes a checkpoint without a step.
            return !hadCheckpoint && stateMachine.hasPendingCheckpoint
        }
        begunMaintenance = step
        return true
    }

    /// Executes the steps that were begun.
    ///
    /// Returns `false` if no step was begun.
    @discardableResult
    package func finishStep() -> Bool {
        let didFinish = finishLogStep()
        return finishMaintenanceStep() != nil || didFinish
    }

    /// Executes the step of the log that was begun.
    @discardableResult
    package func finishLogStep() -> Bool {
        guard let step = begun else { return false }
        begun = nil
        stateMachine.completed(step, writer.perform(step))
        logName = writer.fileName
        switch step {
        case .install: checkpointsInSegment += 1
        case .roll: checkpointsInSegment = 0
        case .wait, .flush, .seal, .stop: break
        }
        return true
    }

    /// Executes the maintenance step that was begun.
    @discardableResult
    package func finishMaintenanceStep() -> MaintenanceResult? {
        guard let step = begunMaintenance else { return nil }
        begunMaintenance = nil
        fileSystem.isMaintaining = true
        defer { fileSystem.isMaintaining = false }
        let result = maintenance.perform(step)
        check(step, result)
        stateMachine.completed(step, result)
        return result
    }

    /// Writes a snapshot to another file system.
    ///
    /// - Parameters:
    ///   - target: The file system of the snapshot.
    ///   - between: A closure that is called between the pieces of the snapshot.
    /// - Throws: The error of the snapshot.
    package func snapshot(
        to target: SimulatedFileSystem,
        _ between: () throws(StoreError) -> Void
    ) throws(StoreError) {
        let plan = try stateMachine.beginSnapshot(now: now)
        defer { stateMachine.endSnapshot() }
        try snapshots.write(plan, to: "snapshot", on: target, between)
    }

    private func check(_ step: MaintenanceStep, _ result: MaintenanceResult) {
        if case (.prepare(_, _, _, _?, _), .failed) = (step, result) { hasLostSegment = true }
        if case .prepared = result { hasLostSegment = false }
        guard case .failed(let error) = result else { return }
        if error.kind == .noSpace, step.mayUseReserve, fileSystem.disk.bytes(of: LogFormat.reserveName) != nil {
            problem = "a step of a compaction found no space and did not use the reserve"
        }
        failureCount += 1
        if failureCount > Self.failureLimit { problem = "a step that failed is repeated without an end" }
    }

    /// Executes all steps.
    package func settle() {
        finishStep()
        while beginStep() { finishStep() }
    }

    /// Closes the store.
    package func close() {
        finishStep()
        isClosing = true
        stateMachine.close(now: now)
        settle()
        writer.release()
    }
}

extension MaintenanceStep {
    /// A Boolean value that indicates whether the step may use the space of the reserve.
    fileprivate var mayUseReserve: Bool {
        switch self {
        case .prepare(_, _, _, _, let mayUseReserve): mayUseReserve
        case .write: true
        case .wait, .remove, .reserve, .stop: false
        }
    }
}
