internal import ReliabilityCore
package import ReliabilityFileStore
package import ReliabilityStore

/// The content of a directory as a reader without changes finds it.
package struct StoreReading: Sendable {
    /// The entries and records at the time of the last frame.
    package let content: StoreContent
    /// The figures of the last segment.
    package let contents: LogContents
    /// The name of the last segment, or of the log in format 1.
    package let lastName: String

    /// Reads a directory.
    ///
    /// - Parameter fileSystem: The file system with the directory.
    /// - Throws: The error of the opening. An empty directory has the reason `unavailable`.
    package init(_ fileSystem: SimulatedFileSystem) throws(StoreError) {
        let recovered = try RecoveredState(reading: "store", .init(), fileSystem: fileSystem, unixTime: .min)
        contents = recovered.files.last
        content = StoreContent(snapshot: recovered.state.snapshot(), now: contents.position.clock)
        lastName = recovered.files.tail?.name ?? LogFormat.firstFormatName
    }

    /// Reads files.
    package init(_ files: [String: [UInt8]]) throws(StoreError) {
        try self.init(SimulatedFileSystem().restarted(with: SimulatedDisk(files)))
    }
}
