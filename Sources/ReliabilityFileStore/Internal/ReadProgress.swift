internal import ReliabilityCore

/// The number of bytes of a store's files that a reader has read.
///
/// A reader may read a part of a file twice. Only the farthest offset in each file counts.
package final class ReadProgress: Sendable {
    private struct State {
        var total: Int64 = 0
        var read: Int64 = 0
        var ends: [String: Int64] = [:]
    }

    private let state = Lock(State())
    private let report: @Sendable (_ read: Int64, _ total: Int64) -> Void

    /// Creates a progress.
    ///
    /// - Parameter report: A closure that receives the number of read bytes and of all bytes after every read.
    package init(_ report: @escaping @Sendable (_ read: Int64, _ total: Int64) -> Void) { self.report = report }

    /// Creates a progress that emits an event once the reading takes longer than a second, and then once a second.
    convenience init(_ events: EventSink<FileStoreEvent>, _ time: TimeSource) {
        let last = Lock(time.now)
        self.init { read, total in
            let now = time.now
            let isDue = last.withLock { last in
                if now.saturatingSubtract(last) < 1_000_000_000 { return false }
                last = now
                return true
            }
            if isDue { events.emit(.opening(bytesRead: read, totalBytes: total)) }
        }
    }

    /// Sets the number of all bytes.
    func setTotal(_ total: Int64) { state.withLock { $0.total = total } }

    /// Records that a file was read up to an offset.
    func didRead(_ name: String, to end: Int64) {
        let (read, total) = state.withLock { state in
            let before = state.ends[name] ?? 0
            if end > before {
                state.ends[name] = end
                state.read = state.read.saturatingAdd(end - before)
            }
            return (min(state.read, state.total), state.total)
        }
        report(read, total)
    }
}

extension StoreDirectory {
    /// Sets the number of all bytes of the progress to the sizes of the segments and the checkpoint files.
    ///
    /// Without a progress, nothing happens.
    func measureFiles() throws(FileSystemError) {
        guard let progress else { return }
        var total: Int64 = 0
        for name in try names() {
            let isRead =
                LogFormat.number(.segment, inName: name) != nil || LogFormat.number(.checkpoint, inName: name) != nil
                || name == LogFormat.firstFormatName
            guard isRead, let file = try? fileSystem.openFile(name, in: directory) else { continue }
            defer { fileSystem.close(file) }
            total = total.saturatingAdd((try? fileSystem.size(of: file)) ?? 0)
        }
        progress.setTotal(total)
    }
}
