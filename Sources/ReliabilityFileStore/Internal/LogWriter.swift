/// Executes the steps of the state machine: every change of the store's files after the opening.
///
/// Only one thread at a time may use a writer.
package struct LogWriter {
    private let directory: StoreDirectory
    private var file: LogFile
    private let growth: Int64

    init(_ file: LogFile, in directory: StoreDirectory, growth: Int64) {
        self.file = file
        self.directory = directory
        self.growth = growth
    }

    /// Executes a step and returns its result.
    package mutating func perform(_ step: LogStep) -> LogStepResult {
        switch execute(step) {
        case .done(let layout): .done(layout)
        case .recoverableFailure(let error): .recoverableFailure(error.at(directory.path))
        case .fatalFailure(let error): .fatalFailure(error.at(directory.path))
        }
    }

    private mutating func execute(_ step: LogStep) -> LogStepResult {
        do throws(FileSystemError) {
            switch step {
            case .flush(let frame, let position): try file.append(frame, .mutations, position)
            case .seal(let position): try file.append(FrameBuilder(), .seal, position)
            case .extend(let target, let needed):
                do throws(FileSystemError) {
                    try file.extend(to: target, needed: needed)
                } catch  where error.kind == .noSpace {
                    return .recoverableFailure(error)
                }
            case .compact(let snapshot, let position):
                let new: LogFile
                do throws(FileSystemError) {
                    new = try directory.newLog(snapshot, position, growth: growth)
                } catch {
                    // The log in use is unchanged. The incomplete new file was removed.
                    return .recoverableFailure(error)
                }
                do throws(FileSystemError) {
                    try new.install()
                } catch {
                    new.close()
                    throw error
                }
                file.close()
                file = new
            case .wait, .stop: break
            }
            return .done(file.layout)
        } catch {
            return .fatalFailure(error)
        }
    }

    /// Closes the files and releases the lock.
    package func release() {
        file.close()
        directory.close()
    }
}
