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
    ///   - configuration: The limits of the store, and of what its opening believes about the wall clock.
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
            let recovered = try RecoveredState(home, configuration, unixTime: unixTime)
            var state = recovered.state
            start = recovered.start
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
            capabilities = recovered.capabilities
            recovery = recovered.report
            core = LogCore(state, layout: file.layout, tuning: tuning)
            writer = LogWriter(file, in: home, growth: tuning.growth)
        } catch {
            home.close()
            throw error
        }
    }
}
