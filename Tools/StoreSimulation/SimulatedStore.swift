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

    /// A Boolean value that indicates whether an answer would wait forever.
    package private(set) var isStuck = false

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
    package var content: StoreContent { StoreContent(snapshot: stateMachine.content, now: now) }

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
        var rejection: StoreError.Reason?
        // Each iteration executes a step. A store without a step that accepts nothing would hang.
        for _ in 0..<1000 {
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
        isStuck = true
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
            isStuck = true
            return .rejected(.unavailable)
        }
    }

    // MARK: Steps

    /// A Boolean value that indicates whether a checkpoint file is being written.
    package var isCompacting: Bool { if case .write = begunMaintenance { true } else { false } }

    /// Takes the next step of the log, or else of the maintenance, from the state machine without executing it.
    ///
    /// Returns `false` if there is no step.
    @discardableResult
    package func beginStep() -> Bool {
        if begun != nil { return true }
        let step = stateMachine.nextStep(hasWaiting: false)
        switch step {
        case .wait, .stop: return beginMaintenanceStep()
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

    /// Executes all steps.
    package func settle() {
        finishStep()
        while beginStep() { finishStep() }
    }

    /// Closes the store.
    package func close() {
        finishStep()
        stateMachine.close(now: now)
        settle()
        writer.release()
    }
}
