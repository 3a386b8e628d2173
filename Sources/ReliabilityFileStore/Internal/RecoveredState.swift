internal import ReliabilityCore
internal import ReliabilityStore

/// A store as its log has it, and the time from which it goes on.
struct RecoveredState {
    var state: StoreState
    let contents: LogContents?
    let capabilities: StoreCapabilities
    /// The time at which the store's clock starts, in nanoseconds since 1970.
    let start: Int64
    let report: RecoveryReport
    /// A state without content, of the same limits.
    let empty: StoreState

    /// Reads the log of a directory.
    ///
    /// - Parameters:
    ///   - home: The directory.
    ///   - configuration: The limits of the store, and of what its opening believes about the wall clock.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    /// - Throws: `StoreError`.
    init(
        _ home: StoreHome,
        _ configuration: FileStore.Configuration,
        unixTime: Int64
    ) throws(StoreError) {
        let limits = StoreLimits(
            maximumEntries: configuration.maximumEntries,
            maximumBytes: configuration.maximumBytes
        )
        var capabilities = StoreCapabilities(durability: .powerLoss, openedAt: nil, canStall: true)
        empty = StoreState(capabilities: capabilities, limits: limits)
        state = empty
        contents = try home.replay(into: &state)
        let last = contents.flatMap { $0.frames > 0 ? $0.moment.clock : nil } ?? unixTime
        // Whether the store was closed for that long or the clock is wrong, nobody here knows. What is kept for too long
        // does little harm; what is forgotten too soon is done twice.
        let isBelieved =
            unixTime.saturatingSubtract(last) <= configuration.maximumClockJump.saturatingNanoseconds
        start = isBelieved ? max(unixTime, last) : last
        state.nextVersion = max(state.nextVersion, contents?.moment.nextVersion ?? 1)
        // A tail that was dropped may have held versions. None of them may come to mean something else.
        if contents != nil { state.nextVersion += 1 << 20 }
        capabilities.openedAt = StoreVersion(rawValue: state.nextVersion)
        self.capabilities = capabilities
        state.advance(to: start)
        report = RecoveryReport(
            isNew: contents == nil,
            wasClosed: contents?.isSealed ?? true,
            replayedFrames: contents?.frames ?? 0,
            replayedBytes: contents?.bytes ?? 0,
            droppedTailBytes: contents?.droppedTailBytes ?? 0,
            wallClockOffset: .nanoseconds(unixTime.saturatingSubtract(start))
        )
    }

    /// Reads the log of a directory, and changes nothing there.
    init(
        reading path: String,
        _ configuration: FileStore.Configuration,
        fileSystem: any FileSystem,
        unixTime: Int64
    ) throws(StoreError) {
        let home = try StoreHome(reading: path, fileSystem)
        defer { home.close() }
        try self.init(home, configuration, unixTime: unixTime)
        if contents == nil { throw StoreError(.unavailable, "there is no store to read") }
    }
}
