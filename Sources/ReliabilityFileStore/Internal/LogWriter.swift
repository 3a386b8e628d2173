internal import ReliabilityStore

/// Does what the core wants done: every change of the store's files after it was opened.
///
/// One thread at a time uses it.
package struct LogWriter {
    private let home: StoreHome
    private var file: LogFile
    private let growth: Int64

    init(_ file: LogFile, in home: StoreHome, growth: Int64) {
        self.file = file
        self.home = home
        self.growth = growth
    }

    /// Takes a step, and says what became of it.
    package mutating func perform(_ step: LogStep) -> LogStepResult {
        switch attempt(step) {
        case .done(let layout): .done(layout)
        case .undone(let error): .undone(error.at(home.path))
        case .failed(let error): .failed(error.at(home.path))
        }
    }

    private mutating func attempt(_ step: LogStep) -> LogStepResult {
        do throws(FileSystemError) {
            switch step {
            case .flush(let frame, let moment): try file.append(frame, .mutations, moment)
            case .seal(let moment): try file.append(FrameBuilder(), .seal, moment)
            case .extend(let target, let needed):
                do throws(FileSystemError) {
                    try file.extend(to: target, needed: needed)
                } catch  where error.kind == .noSpace {
                    return .undone(error)
                }
            case .compact(let snapshot, let moment):
                let new: LogFile
                do throws(FileSystemError) {
                    new = try home.newLog(snapshot, moment, growth: growth)
                } catch {
                    // Up to here only the new file was touched, and that is removed.
                    return .undone(error)
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
            return .failed(error)
        }
    }

    /// Closes the files and gives up the lock.
    package func release() {
        file.close()
        home.close()
    }
}
