package import ReliabilityFileStore
package import ReliabilityStore

/// A store that is driven by hand, without a thread: what was called is durable before the next call begins.
package struct StoreSession {
    private var core: LogCore
    private var writer: LogWriter
    package let recovery: RecoveryReport
    package let capabilities: StoreCapabilities

    /// Opens a store.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - fileSystem: Where the directory is.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - tuning: Sizes.
    /// - Throws: `StoreError`.
    package init(
        at path: String = "store",
        on fileSystem: any FileSystem,
        unixTime: Int64,
        tuning: LogTuning
    ) throws(StoreError) {
        let opening = try LogOpening(
            at: path,
            configuration: FileStore.Configuration(),
            fileSystem: fileSystem,
            unixTime: unixTime,
            tuning: tuning
        )
        core = opening.core
        writer = opening.writer
        recovery = opening.recovery
        capabilities = opening.capabilities
    }

    /// Makes calls that share one frame, as far as it has room, and makes them durable.
    ///
    /// - Parameters:
    ///   - operations: The calls.
    ///   - now: The store's clock.
    /// - Returns: The answers; `diskFull` where the log could not be extended.
    @discardableResult
    package mutating func run(_ operations: [StoreOperation], now: Int64) -> [StoreAnswer] {
        var answers: [StoreAnswer] = []
        for operation in operations { answers.append(answer(operation, now: now)) }
        writeAll()
        return answers
    }

    private mutating func answer(_ operation: StoreOperation, now: Int64) -> StoreAnswer {
        while true {
            if case .answer(let answer, _, _) = submit(operation, to: &core, now: now) { return answer }
            let step = core.nextStep(hasWaiting: true)
            let result = writer.perform(step)
            core.completed(step, result)
            if case .extend = step, case .failed = result { return .refused(.diskFull) }
        }
    }

    private mutating func writeAll() {
        while true {
            let step = core.nextStep(hasWaiting: false)
            switch step {
            case .wait, .stop: return
            case .flush, .extend, .compact, .seal: core.completed(step, writer.perform(step))
            }
        }
    }

    /// Closes the store.
    package mutating func close() {
        core.close()
        writeAll()
        writer.release()
    }

    /// Leaves the store as a process does that is killed.
    package func abandon() { writer.release() }
}
