internal import ReliabilityCore
public import ReliabilityStore

/// A durable store in one directory, for one process at a time.
///
/// The store keeps its whole content in memory and logs every change. A compaction in the background bounds the size of
/// the log. A write returns once the write is on the disk: after `fdatasync` on Linux or after `F_FULLFSYNC` on Apple platforms. Writes that arrive during a sync
/// share the next sync.
///
/// These guarantees hold when the process is killed or the machine loses power at any instant:
///
/// - Every acknowledged write is present after the next opening. So is all content that any answer ever showed. A read
///   waits until the content that it shows is durable. A rejection because of another caller's write waits as well.
/// - A commit is present as a whole or not at all. The recovered content is the store's content at one point in time.
/// - No version is issued twice. The store's clock is never set back behind a written time.
/// - A write that a crash cut off is dropped and reported in ``recovery``. Any other deviation from the written bytes
///   makes the opening throw `corruption` with the file and the offset. The opening leaves the files unchanged.
/// - A disk error in the log in use is final. The store then acknowledges nothing more. Pending writes end with
///   `unknownOutcome`, and the store must be opened again. The same applies after the log was removed or replaced, if
///   the log in use has no name left.
/// - A full disk is not final. Writes throw `diskFull` and change nothing. Reads continue, and writes succeed again
///   once space is available.
/// - An error in a file that is not in use yet is not final either. A missing file descriptor is an example. A write
///   that needs a new segment is then rejected. ``compactionFailure`` describes a failed compaction.
///
/// The store has these limits:
///
/// - The store does not detect a drive that reports a sync before the data is written. The store keeps no copy on
///   another machine.
/// - In a closed store, every change of a single bit is detected. In a store whose process was killed, some damage to
///   the last acknowledged frame counts as a write that was cut off. This applies if the first sector of the frame is
///   zeros, if more sectors are zeros than were written as zeros, or if the frame ends in zeros.
/// - While the disk is full, the time of an observed expiry cannot be written. Suppose that the machine then crashes
///   and that its clock is set back before the next opening. The entry is then present again for the length of that
///   setback.
/// - Network file systems are not supported.
///
/// Close the store with ``close()`` after use.
public final class FileStore: RecordStore {
    enum Backing {
        case log(LogEngine)
        case copy(StoreCopy)
    }

    let backing: Backing

    /// The capabilities of the store.
    ///
    /// The store has one owner and survives power loss. A call can stall while the disk stalls.
    public let capabilities: StoreCapabilities

    /// The recovery report of the opening.
    public let recovery: RecoveryReport

    /// The access mode of an open store.
    @nonexhaustive
    public enum Mode: Hashable, Sendable {
        /// Access to read and write as the only owner.
        case readWrite
        /// Access to a copy of the content at the time of the opening.
        ///
        /// This mode needs no free space and no write permission. A full disk or a disk that is mounted read-only can
        /// be read. Nothing on the disk changes.
        ///
        /// The opening reads the whole content and throws `locked` immediately if the store has an owner. After the
        /// opening, an owner can open the store and write. The copy does not show these changes. Writes to the copy
        /// throw ``StoreError/Reason/readOnly``. Leases appear as the last owner left them.
        case readOnly
    }

    /// Opens the store in a directory and creates a missing store for ``Mode/readWrite``.
    ///
    /// For ``Mode/readWrite``, all leases of the previous owner end. The directory must belong to the user of the
    /// process or to the superuser. No other user may have permission to write to the directory, except through a group
    /// of the process. The parent directory must exist.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: The limits of the store and the largest accepted jump of the wall clock. Defaults to
    ///     ``Configuration/standard``.
    ///   - mode: The access mode. Defaults to ``Mode/readWrite``.
    ///   - clock: The clock that measures expiry and leases while the store is open. Defaults to `ContinuousClock`.
    ///   - observer: Receives the progress of an opening that takes longer than a second. Defaults to `nil`.
    /// - Returns: The open store.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    /// - Throws: `StoreError`. The explanation names the directory. The reason is:
    ///   - `locked` if another owner has the store open.
    ///   - `corruption` if the files are damaged.
    ///   - `unsupportedFormat` if a newer version wrote the files.
    ///   - `invalid` if the directory is not safe or if a file of the store is not a regular file.
    ///   - `diskFull` if the disk has no space for a new segment, not even with the space of the reserve.
    ///   - `readOnly` if the file system is mounted read-only.
    ///   - `unavailable` if another system call failed or if the directory has no store to read.
    public static func open(
        at path: String,
        _ configuration: Configuration = .standard,
        mode: Mode = .readWrite,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (FileStoreEvent) -> Void)? = nil
    ) async throws(StoreError) -> FileStore {
        requireValid(configuration.validate)
        // The opening reads and writes the whole store.
        return try await onOwnThread { () throws(StoreError) in
            try FileStore(at: path, mode: mode, configuration: configuration, clock: clock, observer: observer)
        }
    }

    /// Opens the store and blocks the thread until the store is open.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - mode: The access mode.
    ///   - configuration: The limits of the store and the largest accepted jump of the wall clock.
    ///   - clock: The clock that measures expiry and leases while the store is open.
    ///   - fileSystem: The file system with the directory.
    ///   - unixTime: The wall clock in nanoseconds since 1970.
    ///   - tuning: The sizes that only tests change.
    ///   - observer: Receives the progress of an opening that takes longer than a second.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        mode: Mode = .readWrite,
        configuration: Configuration = .standard,
        clock: some Clock<Duration> = ContinuousClock(),
        fileSystem: any FileSystem = PosixFileSystem(),
        unixTime: Int64 = unixNanoseconds(),
        tuning: LogTuning = LogTuning(),
        observer: (@Sendable (FileStoreEvent) -> Void)? = nil
    ) throws(StoreError) {
        let progress = observer.map { ReadProgress(EventSink($0), TimeSource(clock)) }
        if mode == .readOnly {
            let recovered: RecoveredState
            do throws(StoreError) {
                recovered = try RecoveredState(
                    reading: path,
                    configuration,
                    fileSystem: fileSystem,
                    unixTime: unixTime,
                    progress: progress
                )
            } catch {
                throw error.at(path)
            }
            backing = .copy(StoreCopy(recovered, TimeSource(clock), fileSystem))
            capabilities = recovered.capabilities
            recovery = recovered.report
            return
        }
        let logRecovery: LogRecovery
        do throws(StoreError) {
            logRecovery = try LogRecovery(
                at: path,
                configuration: configuration,
                fileSystem: fileSystem,
                unixTime: unixTime,
                tuning: tuning,
                progress: progress
            )
        } catch {
            let canBeRead = error.reason == .diskFull || error.reason == .readOnly
            throw error.at(path, canBeRead ? "; FileStore.open(at:mode:) with .readOnly can read the store" : "")
        }
        let engine = LogEngine(logRecovery, TimeSource(clock))
        backing = .log(engine)
        capabilities = logRecovery.capabilities
        recovery = logRecovery.report
        // The threads hold the engine and not the store. The release of the last reference to the store closes the
        // store.
        if !engine.start() { throw .noThread }
    }

    deinit { if case .log(let engine) = backing { engine.abandon() } }

    private func submit<Result>(_ request: LogRequest<Result>) async throws(StoreError) -> Result {
        switch backing {
        case .log(let engine): try await engine.submit(request)
        case .copy(let copy): try copy.submit(request)
        }
    }

    /// The current number of entries, records and bytes with their limits.
    public var usage: StoreUsage {
        switch backing {
        case .log(let engine): engine.usage
        case .copy(let copy): copy.usage
        }
    }

    /// The error of the last compaction, or `nil` if the compaction succeeded.
    ///
    /// The store continues and tries again after another 4 MiB of changes. The log grows meanwhile. The usual causes are
    /// a full disk and a lack of free file descriptors.
    public var compactionFailure: StoreError? {
        switch backing {
        case .log(let engine): engine.compactionFailure
        case .copy: nil
        }
    }

    /// Waits until all pending changes are written, seals the log, and releases the lock.
    ///
    /// Later calls throw `closed`. A store whose last reference is released closes itself at some later time, and
    /// cannot be opened until then. If the process ends without a close, no acknowledged write is lost, but some damage
    /// to the last frame goes undetected.
    public func close() async {
        switch backing {
        case .log(let engine): await engine.close()
        case .copy(let copy): copy.close()
        }
    }

    /// Reads entries at one point in time.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await submit(.get(keys))
    }

    /// Reads a single entry.
    public func get(_ key: StoreKey) async throws(StoreError) -> StoreEntry? {
        if case .log(let engine) = backing, let entry = try engine.durableEntry(key) { return entry }
        return try await submit(.get([key])).first ?? nil
    }

    /// Applies all writes in one step or none of the writes.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await submit(.commit(writes))
    }

    /// Makes a single write.
    public func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        try await submit(.commit(write))
    }

    /// Applies all writes and adds all records in one step or changes nothing.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await submit(.commit(writes, records))
    }

    /// Applies all updates in one step or none of the updates.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await submit(.update(updates))
    }

    /// Makes a single update.
    public func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision {
        try await submit(.update(key, update))
    }

    /// Reads entries in the order of their keys.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await submit(.scan(prefix, after: after, limit: limit))
    }

    /// Adds all records in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await submit(.enqueue(records))
    }

    /// Claims due records for the duration of a lease.
    public func claim(
        _ queue: QueueName,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try await submit(.claim(queue, limit: limit, lease: lease))
    }

    /// Settles all records in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await submit(.settle(settlements))
    }

    /// Returns the time until a record of the queue is due, or `nil` if no record is pending.
    public func nextDue(_ queue: QueueName) async throws(StoreError) -> Duration? {
        try await submit(.nextDue(queue))
    }

    /// Returns the number of records in the queue.
    public func counts(_ queue: QueueName) async throws(StoreError) -> RecordCounts {
        try await submit(.counts(queue))
    }

    /// Reads records of one state in the order of their ids.
    public func page(
        _ queue: QueueName,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await submit(.page(queue, state, after: after, limit: limit))
    }
}
