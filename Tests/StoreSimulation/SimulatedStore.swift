package import ReliabilityFileStore
package import ReliabilityStore

/// The file store without its thread: it does one step when it is told to, on a clock that stands still meanwhile.
///
/// Everything that happens follows from the calls, so a run can be repeated, and stopped between any two calls to the
/// file system.
package final class SimulatedStore {
    /// An answer, and when it may be told.
    package struct Ticket: Hashable {
        package var answer: StoreAnswer
        /// The batch that has to be durable first; 0 for none.
        package var batch: UInt64
        package var isChange: Bool
        /// Whether it was given because the disk had no room for the log to grow.
        package var hadNoRoom = false
    }

    package let fileSystem: SimulatedFileSystem
    package let recovery: RecoveryReport
    package let capabilities: StoreCapabilities
    /// Where the store's clock started.
    package let start: Int64
    /// The store's clock, in nanoseconds since 1970.
    package private(set) var now: Int64

    /// Whether an answer would have to wait for ever.
    package private(set) var isStuck = false

    private var core: LogCore
    private var writer: LogWriter
    private var begun: LogStep?

    /// Opens the store.
    ///
    /// - Parameters:
    ///   - fileSystem: Where it is.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - configuration: How much it may hold.
    ///   - tuning: Sizes.
    /// - Throws: What opening it throws.
    package init(
        _ fileSystem: SimulatedFileSystem,
        unixTime: Int64,
        configuration: FileStore.Configuration = .init(),
        tuning: LogTuning = LogTuning()
    ) throws(StoreError) {
        let opening = try LogOpening(
            at: "store",
            configuration: configuration,
            fileSystem: fileSystem,
            unixTime: unixTime,
            tuning: tuning
        )
        self.fileSystem = fileSystem
        core = opening.core
        writer = opening.writer
        recovery = opening.recovery
        capabilities = opening.capabilities
        start = opening.start
        now = start
    }

    /// The last batch that is durable.
    package var durable: UInt64 { core.durable }

    /// All that it holds.
    package var content: StoreContent { StoreContent(snapshot: core.content, now: now) }

    /// Why nothing can be written any more.
    package var end: StoreError? { core.end }

    /// Moves the clock on.
    package func advance(by nanoseconds: Int64) {
        let (sum, overflow) = now.addingReportingOverflow(max(0, nanoseconds))
        now = overflow ? .max : sum
    }

    // MARK: Calls

    /// Hands in an operation, after the steps that it has to wait for, and no others.
    package func submit(_ operation: StoreOperation) -> Ticket {
        var hadNoRoom = false
        // Each turn does a step; a store that wants none and takes nothing would hang.
        for _ in 0..<1000 {
            switch StoreSimulation.submit(operation, to: &core, now: now, noRoom: hadNoRoom) {
            case .answer(let answer, let batch, let isChange):
                return Ticket(answer: answer, batch: batch, isChange: isChange, hadNoRoom: hadNoRoom)
            case .logIsFull where hadNoRoom:
                return Ticket(answer: .refused(.diskFull), batch: 0, isChange: false, hadNoRoom: true)
            case .logIsFull, .batchIsFull:
                finishStep()
                let step = core.nextStep(hasWaiting: true)
                let result = writer.perform(step)
                if case .extend = step, case .undone = result { hadNoRoom = true }
                core.completed(step, result)
            }
        }
        isStuck = true
        return Ticket(answer: .refused(.unavailable), batch: 0, isChange: false)
    }

    /// What a caller is told: nil while it has to wait.
    package func told(_ ticket: Ticket) -> StoreAnswer? {
        if core.durable >= ticket.batch { return ticket.answer }
        guard let end = core.end else { return nil }
        return .refused(ticket.isChange ? .unknownOutcome : end.reason)
    }

    /// Makes a call, and does all steps until it is answered.
    package func call(_ operation: StoreOperation) -> StoreAnswer {
        let ticket = submit(operation)
        while true {
            if let answer = told(ticket) { return answer }
            if finishStep() || beginStep() { continue }
            isStuck = true
            return .refused(.unavailable)
        }
    }

    // MARK: Steps

    /// Whether the step that was begun rewrites the log.
    package var isCompacting: Bool { if case .compact = begun { true } else { false } }

    /// Takes the next step from the core and does not do it yet; false when there is none.
    @discardableResult
    package func beginStep() -> Bool {
        if begun != nil { return true }
        let step = core.nextStep(hasWaiting: false)
        switch step {
        case .wait, .stop: return false
        case .flush, .extend, .compact, .seal: begun = step
        }
        return true
    }

    /// Does the step that was begun; false when none was.
    @discardableResult
    package func finishStep() -> Bool {
        guard let step = begun else { return false }
        begun = nil
        core.completed(step, writer.perform(step))
        return true
    }

    /// Does all steps.
    package func settle() {
        finishStep()
        while beginStep() { finishStep() }
    }

    /// Closes the store.
    package func close() {
        finishStep()
        core.close(now: now)
        settle()
        writer.release()
    }
}
