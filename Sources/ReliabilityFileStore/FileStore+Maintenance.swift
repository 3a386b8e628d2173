internal import ReliabilityCore
public import ReliabilityStore

extension FileStore {
    /// Writes a copy of the store to a directory while the store is in use.
    ///
    /// The copy has the content of the store at one point in time after the beginning of the call. All writes that
    /// were acknowledged before the call are present. Reads and writes continue meanwhile. The disk of the directory
    /// needs space for the store's files. Files that a compaction replaces are removed after the end of the copy.
    ///
    /// ```swift
    /// let orders = try await FileStore.open(at: path)
    /// try await orders.snapshot(to: "/backup/orders-2026-11-29")
    /// ```
    ///
    /// The copy is a store of its own. Both stores issue versions from the same number on, so a version of one store
    /// has no meaning in the other store.
    ///
    /// The call checks the checksums of all copied files. A copy that was interrupted by a crash does not open and
    /// throws `corruption`, or has no files yet. After an error, the directory has no file of the
    /// copy.
    ///
    /// - Parameter path: A directory that does not exist or is empty. The parent directory must exist. The directory
    ///   must not be in the directory of an open store.
    /// - Throws: `StoreError`. The store is unchanged. The reason is:
    ///   - `invalid` if the directory has files, is not safe or is in the directory of an open store.
    ///   - `locked` if another owner uses the directory, for example because it is the directory of this store.
    ///   - `diskFull` if the disk of the directory has no space for the copy.
    ///   - `corruption` if a file of the store is damaged.
    ///   - `cancelled` if the task was cancelled before the copy was complete.
    ///   - `closed` or `failed` if the store was closed or failed before the copy was complete.
    ///   - `readOnly` or `unavailable` if another system call failed.
    public func snapshot(to path: String) async throws(StoreError) {
        let isCancelled = Lock(false)
        let outcome = await withTaskCancellationHandler {
            do throws(StoreError) {
                try await onOwnThread { [backing] () throws(StoreError) in
                    switch backing {
                    case .log(let engine):
                        try engine.writeSnapshot(to: path) { isCancelled.withLock { $0 } }
                    case .copy(let copy):
                        try copy.writeSnapshot(to: path) { isCancelled.withLock { $0 } }
                    }
                }
                return Result<Void, StoreError>.success(())
            } catch {
                return .failure(error)
            }
        } onCancel: {
            isCancelled.withLock { $0 = true }
        }
        try outcome.get()
    }

    /// Compacts the files of the store and waits for the end of the compaction.
    ///
    /// The store compacts its files without a call whenever they have grown. A call makes sense after the removal of
    /// much content, if the space is needed immediately. Reads and writes continue meanwhile. A call also waits for the
    /// end of a snapshot, because a snapshot keeps the replaced files.
    ///
    /// - Throws: `StoreError`. The content is unchanged. The reason is:
    ///   - `cancelled` if the task was cancelled before the end of the compaction. The compaction continues.
    ///   - `readOnly` for a store in ``Mode/readOnly``.
    ///   - `closed` or `failed` if the store was closed or failed before the end of the compaction.
    ///   - The reason of ``compactionFailure`` if the compaction failed.
    public func compact() async throws(StoreError) {
        switch backing {
        case .log(let engine): try await engine.compact()
        case .copy(let copy): throw copy.writeRejection
        }
    }
}
