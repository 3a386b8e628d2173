internal import ReliabilityCore
package import ReliabilityStore

/// The state of a store's directory as a reader without changes finds it, whether the store opens or not.
package struct StoreInspection: Sendable {
    /// The directory.
    package let path: String
    /// The error of an opening, or `nil` if the store opens.
    package private(set) var problem: StoreError?
    /// The report of an opening, or `nil` if the store does not open.
    package private(set) var report: RecoveryReport?
    /// All files in the order of their names.
    package private(set) var files: [FileInspection] = []
    /// The parts of the needed files that cannot be read.
    package private(set) var findings: [DamageFinding] = []
    /// The live entries and the records in order.
    ///
    /// If the store does not open: the content of all intact frames. Changes of lost frames are missing.
    package private(set) var content: [StoreMutation] = []
    /// The number of entries and records that a lost frame may have changed or removed.
    package private(set) var uncertainItems = 0
    /// The store's clock and next version according to the last intact frame.
    package private(set) var position = LogPosition(clock: .min, nextVersion: 1)
    private let fileSystem: any FileSystem

    /// Reads a directory.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - fileSystem: The file system with the directory.
    ///   - progress: A closure that receives the number of read bytes and of all bytes. The files of a damaged store are
    ///     read a second time.
    /// - Throws: `StoreError` if the directory cannot be read or has no store, or if an owner has the store open.
    package init(
        reading path: String,
        fileSystem: any FileSystem = PosixFileSystem(),
        progress: @escaping @Sendable (_ read: Int64, _ total: Int64) -> Void = { _, _ in }
    ) throws(StoreError) {
        do throws(StoreError) {
            let directory = try StoreDirectory(reading: path, fileSystem)
            defer { directory.close() }
            try self.init(directory, path, fileSystem, progress)
        } catch {
            throw error.at(path)
        }
    }

    private init(
        _ directory: StoreDirectory,
        _ path: String,
        _ fileSystem: any FileSystem,
        _ progress: @escaping @Sendable (Int64, Int64) -> Void
    ) throws(StoreError) {
        self.path = path
        self.fileSystem = fileSystem
        let unlimited = FileStore.Configuration(maxEntries: .max, maxBytes: .max)
        do throws(StoreError) {
            // The smallest time: the clock of the store is then the clock of the last frame.
            let recovered = try RecoveredState(
                directory,
                unlimited,
                unixTime: .min,
                progress: ReadProgress(progress)
            )
            if recovered.files.isNew { throw StoreError(.unavailable, "the directory has no store to read") }
            report = recovered.report
            content = recovered.state.snapshot()
            position = recovered.files.last.position
            let needed = Set(recovered.files.neededNames)
            files = try FileInspection.files(in: directory).map { file in
                var file = file
                file.isNeeded = needed.contains(file.name)
                return file
            }
        } catch {
            switch error.reason {
            case .corruption, .unsupportedFormat: break
            default: throw error
            }
            problem = error
            var directory = directory
            directory.progress = ReadProgress(progress)
            try withStoreErrors { () throws(FileSystemError) in try directory.measureFiles() }
            let damaged = try DamagedStoreReader(directory)
            files = damaged.files
            findings = damaged.findings.filter(\.isNeeded)
            if case .corruption(let file, let offset) = error.reason, !findings.contains(where: { $0.file == file }) {
                // No frame of the file is lost, and an opening still rejects the file.
                findings.append(DamageFinding(file: file, reason: .rejected, range: offset..<offset, lostFrames: 0))
            }
            (content, uncertainItems) = damaged.content.content(gaps: damaged.logGaps)
            position = damaged.content.position
        }
    }

    /// Returns a Boolean value that indicates whether a directory has a store, which may be damaged.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - fileSystem: The file system with the directory.
    /// - Returns: `false` if an opening for writing would create a store.
    /// - Throws: `StoreError` if the directory cannot be read or if an owner has the store open.
    package static func hasStore(
        at path: String,
        fileSystem: any FileSystem = PosixFileSystem()
    ) throws(StoreError) -> Bool {
        do throws(StoreError) {
            let directory = try StoreDirectory(reading: path, fileSystem)
            defer { directory.close() }
            return try withStoreErrors { () throws(FileSystemError) in
                switch try directory.mark() {
                case .segment, .firstFormat: return true
                case .none, .new: break
                }
                let roles = try directory.names().map { FileInspection.Role(ofName: $0) }
                return roles.contains(.segment) || roles.contains(.firstFormatLog)
            }
        } catch {
            throw error.at(path)
        }
    }

    /// The number of frames that are known to be lost, or `nil` if at least one number is unknown.
    package var lostFrames: UInt64? {
        var sum: UInt64 = 0
        for finding in findings {
            guard let lost = finding.lostFrames else { return nil }
            sum = sum.addingReportingOverflow(lost).overflow ? .max : sum + lost
        }
        return sum
    }

    /// The number of versions that a copy of a damaged store skips.
    ///
    /// Lost frames may have issued versions, and no version may be issued twice. A lost file of any size holds fewer
    /// versions.
    package static let skippedVersions: UInt64 = 1 << 40

    /// Writes the content to a new store.
    ///
    /// The directory of the inspected store stays unchanged.
    ///
    /// - Parameters:
    ///   - path: A directory that does not exist or is empty.
    ///   - target: The file system with the new store. Defaults to the file system of the inspected store.
    /// - Throws: `StoreError`. The reason is `invalid` if the directory has files or is in the directory of an open
    ///   store.
    package func salvage(to path: String, on target: (any FileSystem)? = nil) throws(StoreError) {
        let skipped = problem == nil ? 0 : Self.skippedVersions
        let position = LogPosition(
            clock: max(0, self.position.clock),
            nextVersion: min(self.position.nextVersion + skipped, versionLimit - 1)
        )
        let (content, places) = (content, content.map(\.contentKey))
        try NewStoreDirectory.write(to: path, position, target ?? fileSystem, { () throws(StoreError) in }) { place in
            var index = places.firstIndex(atOrAfter: place)
            var part: [StoreMutation] = []
            var bytes = 0
            while index < content.count, part.count < 256, bytes < 256 << 10 {
                part.append(content[index])
                bytes += content[index].approximateSize
                index += 1
            }
            return (part, index < content.count ? places[index] : nil)
        }
    }
}

extension [ContentKey] {
    /// Returns the index of the first place that is not less than a place.
    fileprivate func firstIndex(atOrAfter place: ContentKey) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
