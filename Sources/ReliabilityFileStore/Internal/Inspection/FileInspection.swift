internal import ReliabilityStore

/// The state of a file in a store's directory.
package struct FileInspection: Hashable, Sendable {
    package enum Role: String, Sendable {
        case segment
        case checkpoint
        case firstFormatLog
        case lock
        case reserve
        /// A file that has no meaning for the store.
        case other

        init(ofName name: String) {
            if LogFormat.number(.segment, inName: name) != nil {
                self = .segment
            } else if LogFormat.number(.checkpoint, inName: name) != nil {
                self = .checkpoint
            } else {
                switch name {
                case LogFormat.firstFormatName: self = .firstFormatLog
                case LogFormat.lockName: self = .lock
                case LogFormat.reserveName: self = .reserve
                default: self = .other
                }
            }
        }
    }

    package var name: String
    package var role: Role
    package var size: Int64
    /// A Boolean value that indicates whether an opening needs the file.
    package var isNeeded = false
    /// The number of intact frames in a damaged store.
    ///
    /// The frames of a store that opens are not counted.
    package var frames = 0
    /// The number of bytes in intact frames.
    package var readableBytes: Int64 = 0
    /// The number of bytes in intact frames after the first damage.
    package var readableBytesAfterDamage: Int64 = 0

    /// Returns all files of a directory in the order of their names.
    static func files(in directory: StoreDirectory) throws(StoreError) -> [FileInspection] {
        var files: [FileInspection] = []
        for name in try withStoreErrors({ () throws(FileSystemError) in try directory.names() }).sorted() {
            do throws(FileSystemError) {
                let file = try directory.fileSystem.openFile(name, in: directory.directory)
                defer { directory.fileSystem.close(file) }
                let size = try directory.fileSystem.size(of: file)
                files.append(FileInspection(name: name, role: Role(ofName: name), size: size))
            } catch {
                // A directory, a special file or a file without a meaning that the process may not read.
                guard error.kind == .rejected || error.kind == .notFound || Role(ofName: name) == .other
                else { throw StoreError(error) }
                files.append(FileInspection(name: name, role: .other, size: 0))
            }
        }
        return files
    }
}
