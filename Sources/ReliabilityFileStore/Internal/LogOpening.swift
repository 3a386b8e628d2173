internal import ReliabilityCore
package import ReliabilityStore

/// A store that was opened: its log read, and replaced by a new one.
package struct LogOpening {
    package var core: LogCore
    package var writer: LogWriter
    package let recovery: RecoveryReport
    package let capabilities: StoreCapabilities
    let home: StoreHome
    /// Where the store's clock starts, in nanoseconds since 1970.
    package let start: Int64

    /// Opens, reads and replaces the log in a directory.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: How much the store may hold.
    ///   - fileSystem: Where the directory is.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - tuning: Sizes that only tests change.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        configuration: FileStore.Configuration,
        fileSystem: any FileSystem,
        unixTime: Int64,
        tuning: LogTuning
    ) throws(StoreError) {
        home = try StoreHome(path, fileSystem)
        do throws(StoreError) {
            let limits = StoreLimits(
                maximumEntries: configuration.maximumEntries,
                maximumBytes: configuration.maximumBytes
            )
            var capabilities = StoreCapabilities(durability: .powerLoss, openedAt: nil, canStall: true)
            var state = StoreState(capabilities: capabilities, limits: limits)
            let contents = try home.replay(into: &state)
            start = max(unixTime, contents?.moment.clock ?? .min)
            state.nextVersion = max(state.nextVersion, contents?.moment.nextVersion ?? 1)
            // A tail that was dropped may have held versions. None of them may come to mean something else.
            if contents != nil { state.nextVersion += 1 << 20 }
            capabilities.openedAt = StoreVersion(rawValue: state.nextVersion)
            state.advance(to: start)
            state.endLeases()

            // The old log is never written to: what it says may be in the system's memory only (after a sync that
            // failed), and behind its end there may be remains.
            let moment = LogMoment(clock: state.now, nextVersion: state.nextVersion)
            let file: LogFile
            do throws(FileSystemError) {
                // Not before: an opening that is refused leaves the files as they are.
                try home.noteOwner()
                file = try home.newLog(state.snapshot(), moment, growth: tuning.growth)
            } catch {
                throw StoreError(error)
            }
            do throws(FileSystemError) {
                try file.install()
                try home.markReady()
            } catch {
                file.close()
                throw StoreError(error)
            }
            self.capabilities = capabilities
            recovery = RecoveryReport(
                isNew: contents == nil,
                wasClosed: contents?.isSealed ?? true,
                replayedFrames: contents?.frames ?? 0,
                replayedBytes: contents?.bytes ?? 0,
                droppedTailBytes: contents?.droppedTailBytes ?? 0
            )
            core = LogCore(state, layout: file.layout, tuning: tuning)
            writer = LogWriter(file, in: home, growth: tuning.growth)
        } catch {
            home.close()
            throw error
        }
    }
}
