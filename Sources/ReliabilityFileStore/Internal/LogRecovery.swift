package import ReliabilityStore

/// The result of an opening for writing.
///
/// The opening reads the log and replaces the log with a new file.
package struct LogRecovery {
    package var stateMachine: LogStateMachine
    package var writer: LogWriter
    package let report: RecoveryReport
    package let capabilities: StoreCapabilities
    let directory: StoreDirectory
    /// The start of the store's clock in nanoseconds since 1970.
    package let start: Int64

    /// Opens, reads and replaces the log in a directory.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: The limits of the store and the largest accepted jump of the wall clock.
    ///   - fileSystem: The file system with the directory.
    ///   - unixTime: The wall clock in nanoseconds since 1970.
    ///   - tuning: The sizes and intervals that only tests change.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        configuration: FileStore.Configuration,
        fileSystem: any FileSystem,
        unixTime: Int64,
        tuning: LogTuning
    ) throws(StoreError) {
        directory = try StoreDirectory(path, fileSystem)
        do throws(StoreError) {
            let recovered = try RecoveredState(directory, configuration, unixTime: unixTime)
            var state = recovered.state
            start = recovered.start
            state.endLeases()

            // The old log is never written to. After a failed sync, its content may exist only in the page cache. Parts
            // of a write that was cut off may follow its end.
            let position = LogPosition(clock: state.now, nextVersion: state.nextVersion)
            let file: LogFile
            do throws(FileSystemError) {
                // Only here, after the log was read: a rejected opening leaves the files unchanged.
                try directory.recordOwner()
                file = try directory.newLog(state.snapshot(), position, growth: tuning.growth)
            } catch {
                throw StoreError(error)
            }
            do throws(FileSystemError) {
                try file.install()
                try directory.writeLogMarker()
            } catch {
                file.close()
                throw StoreError(error)
            }
            capabilities = recovered.capabilities
            report = recovered.report
            stateMachine = LogStateMachine(state, layout: file.layout, tuning: tuning)
            writer = LogWriter(file, in: directory, growth: tuning.growth)
        } catch {
            directory.close()
            throw error
        }
    }
}
