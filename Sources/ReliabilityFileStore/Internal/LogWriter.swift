/// Executes the steps of the state machine on the log.
///
/// Only one thread at a time may use a writer.
package struct LogWriter: Sendable {
    private let directory: StoreDirectory
    private var file: LogFile

    init(_ file: LogFile, in directory: StoreDirectory) {
        self.file = file
        self.directory = directory
    }

    /// The name of the segment in use.
    package var fileName: String { file.name }

    /// Executes a step and returns its result.
    package mutating func perform(_ step: LogStep) -> LogStepResult {
        do throws(FileSystemError) {
            switch step {
            case .flush(let frame, let position): try file.append(frame, .mutations, position)
            case .install(let checkpoint, let position):
                try file.append(FrameBuilder(checkpoint), .checkpoint, position)
            case .seal(let position): try file.append(FrameBuilder(), .seal, position)
            case .roll(var next, let manifest, let position):
                do throws(FileSystemError) {
                    // The manifest is durable before the roll frame puts the segment in use.
                    try next.append(manifest, .manifest, position)
                    try file.append(FrameBuilder(rollTo: next.id), .roll, position)
                } catch {
                    next.close()
                    throw error
                }
                file.close()
                file = next
            case .wait, .stop: break
            }
            return .done
        } catch {
            return .failed(error.at(directory.path))
        }
    }

    /// Closes the files and releases the lock.
    package func release() {
        file.close()
        directory.close()
    }
}
