internal import ReliabilityCore
package import ReliabilityStore

/// The content of a store after its files were read and the start of its clock.
package struct RecoveredState {
    package var state: StoreStateMachine
    package let files: StoreFiles
    let capabilities: StoreCapabilities
    /// The start of the store's clock in nanoseconds since 1970.
    let start: Int64
    let report: RecoveryReport
    /// A state without content that has the same limits.
    let empty: StoreStateMachine

    /// Reads the files of a directory.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - configuration: The limits of the store and the largest accepted jump of the wall clock.
    ///   - unixTime: The wall clock in nanoseconds since 1970.
    ///   - progress: The progress of the reading, or `nil` for none.
    /// - Throws: `StoreError`.
    init(
        _ directory: StoreDirectory,
        _ configuration: FileStore.Configuration,
        unixTime: Int64,
        progress: ReadProgress? = nil
    ) throws(StoreError) {
        var directory = directory
        if let progress { directory.progress = progress }
        let limits = StoreLimits(
            maxEntries: configuration.maxEntries,
            maxBytes: configuration.maxBytes
        )
        var capabilities = StoreCapabilities(durability: .powerLoss, openedAt: nil, canStall: true)
        empty = StoreStateMachine(capabilities: capabilities, limits: limits)
        state = empty
        try withStoreErrors { () throws(FileSystemError) in try directory.measureFiles() }
        files = try StoreFiles(directory, into: &state)
        let isNew = files.isNew
        let last = files.last.frames > 0 ? files.last.position.clock : unixTime
        // A large lead means a long downtime or a wrong clock; the opening cannot distinguish the two. An entry that is
        // kept too long does little harm. An entry that expires too soon lets work happen twice.
        let isAccepted =
            unixTime.saturatingSubtract(last) <= configuration.maxClockJump.saturatingNanoseconds
        start = isAccepted ? max(unixTime, last) : last
        state.nextVersion = max(state.nextVersion, files.last.position.nextVersion)
        // A dropped tail may have held versions. None of these versions may be issued again.
        if !isNew { state.nextVersion += 1 << 20 }
        capabilities.openedAt = StoreVersion(rawValue: state.nextVersion)
        self.capabilities = capabilities
        state.advance(to: start)
        report = RecoveryReport(
            isNew: isNew,
            wasClosed: isNew || files.last.isSealed,
            replayedFrames: files.replayedFrames,
            replayedBytes: files.replayedBytes,
            droppedTailBytes: files.last.droppedTailBytes,
            wallClockOffset: .nanoseconds(unixTime.saturatingSubtract(start))
        )
    }

    /// Returns the content and leaves a state without content.
    mutating func takeState() -> StoreStateMachine {
        let taken = state
        state = empty
        return taken
    }

    /// Reads the files of a directory without changes to the directory.
    package init(
        reading path: String,
        _ configuration: FileStore.Configuration,
        fileSystem: any FileSystem,
        unixTime: Int64,
        progress: ReadProgress? = nil
    ) throws(StoreError) {
        let directory = try StoreDirectory(reading: path, fileSystem)
        defer { directory.close() }
        try self.init(directory, configuration, unixTime: unixTime, progress: progress)
        if files.isNew { throw StoreError(.unavailable, "the directory has no store to read") }
    }
}
