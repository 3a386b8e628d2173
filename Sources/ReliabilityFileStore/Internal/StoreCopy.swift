internal import ReliabilityCore
internal import ReliabilityStore

/// A copy of a store's content at the time of a read-only opening.
final class StoreCopy: Sendable {
    private let state: Lock<StoreStateMachine?>
    private let clock: StoreClock
    private let empty: StoreStateMachine
    private let fileSystem: any FileSystem

    init(_ recovered: RecoveredState, _ time: TimeSource, _ fileSystem: any FileSystem) {
        self.fileSystem = fileSystem
        state = Lock(recovered.state)
        empty = recovered.empty
        clock = StoreClock(startingAt: recovered.start, time)
    }

    /// Answers a read and rejects all other requests.
    func submit<Result>(_ request: LogRequest<Result>) throws(StoreError) -> Result {
        let now = clock.now
        return try state.withLock { state throws(StoreError) in
            guard var content = state else { throw .closed }
            guard case .read(_, let read) = request.body else { throw writeRejection }
            // `state` is empty during the change, so `content` has the only reference and is not copied.
            state = nil
            defer { state = content }
            content.advance(to: now)
            return try read(&content)
        }
    }

    /// The error of a write.
    var writeRejection: StoreError {
        StoreError(.readOnly, "the store was opened in mode readOnly; open it in mode readWrite to write")
    }

    /// Writes the content to a new store and blocks the thread.
    func writeSnapshot(to path: String, isCancelled: () -> Bool) throws(StoreError) {
        func check() throws(StoreError) {
            if isCancelled() { throw .snapshotCancelled }
            if state.withLock({ $0 == nil }) { throw .closed }
        }
        try check()
        let position = state.withLock { state in
            LogPosition(clock: clock.now, nextVersion: (state ?? empty).nextVersion)
        }
        try NewStoreDirectory.write(to: path, position, fileSystem, check) { place in
            // A closed copy has no content, and the next check throws an error.
            state.withLock { $0?.slice(from: place, to: nil, limit: 256, maxBytes: 256 << 10) } ?? ([], nil)
        }
    }

    var usage: StoreUsage { state.withLock { ($0 ?? empty).usage } }

    /// Frees the content.
    func close() { state.withLock { $0 = nil } }
}
