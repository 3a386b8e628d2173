internal import ReliabilityCore
public import ReliabilityStore

/// A durable store in one directory, for one process at a time.
///
/// It is held in memory as a whole and logged to one file. A write returns when it is on the disk: with `fdatasync` on
/// Linux and `F_FULLFSYNC` on Apple's systems. Writes that arrive while the disk is busy share the next sync.
///
/// What it promises, to a process that is killed and to a machine that loses power at any instant:
///
/// - What was acknowledged is there after the next opening, and so is everything that any answer ever showed: a read,
///   or a refusal because of somebody else's write, waits until what it shows is durable.
/// - A commit is there as a whole or not at all, and what is there is what the store held at one moment.
/// - A version is never issued again, and the store's clock is never set behind what was written.
/// - A write that a crash cut off is dropped and reported in ``recovery``. Anything else that is not as it was written
///   makes the opening throw `corruption` with the file and the offset, and leaves the files as they are.
/// - After an error from the disk in the log that is in use nothing is acknowledged any more: writes under way end with
///   `unknownOutcome`, and the store has to be opened anew. The same holds once somebody has removed or replaced the
///   log, so that its file has no name any more. A disk that is full is another matter: writes then throw `diskFull` and
///   change nothing, reads go on, and writes succeed again once there is space. So is an error in rewriting the log, such
///   as no free descriptor: the log stays as it is, and ``compactionFailure`` says why.
///
/// What it does not:
///
/// - A drive that reports a sync before it has written is not noticed, and there is no copy on another machine.
/// - Every change of a single bit in a store that was closed is found. In one whose process was killed, damage to the
///   very last frame that was acknowledged is taken for a write that was cut off when the frame's first sector is zeros,
///   or more of its sectors are than were, or it ends in zeros.
/// - While the disk is full, the time of an expiry that was seen cannot be written: should the machine crash then, and
///   its clock be set back before the next opening, the entry is there again for as long as that was.
/// - A network file system is not supported.
///
/// Close the store when you are done; ``close()`` says why.
public final class FileStore: RecordStore {
    private enum Backing {
        case log(LogEngine)
        case copy(StoreCopy)
    }

    private let backing: Backing

    /// What the store can do.
    ///
    /// It has one owner, survives the loss of power, and stalls when its disk does.
    public let capabilities: StoreCapabilities

    /// What opening the store found.
    public let recovery: RecoveryReport

    /// The way in which a store is opened.
    @nonexhaustive
    public enum Mode: Hashable, Sendable {
        /// To read and write, as the only owner.
        case readWrite
        /// To read what is there now.
        ///
        /// It needs no space and no permission to write, so it works on a full disk and on one that is mounted read-only.
        /// Nothing on the disk changes. The whole content is read at the opening, which waits for no owner and throws
        /// `locked` while there is one; once it is open, an owner may open the store and write, which the copy does not
        /// show. Writes throw ``StoreError/Reason/readOnly``. Leases are shown as the last owner left them.
        case readOnly
    }

    /// Opens the store in a directory, and creates it when it is not there and may be written.
    ///
    /// All leases of the owner before end. The directory belongs to the process's user or to the superuser, and others
    /// may not write to it, except for a group that the process is a member of. Its parent must exist.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - mode: Whether the store is written. Defaults to ``Mode/readWrite``.
    ///   - configuration: The limits of the store, and of what its opening believes about the wall clock.
    ///   - clock: Measures expiry and leases while the store is open.
    /// - Returns: The store.
    /// - Throws: `StoreError`: `locked` while another owner has it open, `corruption` when its files are damaged,
    ///   `unsupportedFormat` when a newer version wrote them, `invalid` for a directory that is not safe or a file in it
    ///   that is none, `diskFull` when there is no space for another copy of the content, which every opening for writing
    ///   makes, `readOnly` when the file system is mounted so, `unavailable` when another call to the system failed or there is no store to read. The explanation
    ///   names the directory.
    public static func open(
        at path: String,
        mode: Mode = .readWrite,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock()
    ) async throws(StoreError) -> FileStore {
        // Not on a thread of the pool that all tasks share: opening reads and writes the whole store.
        // Through a lock: the thread sanitizer does not see that a continuation that is resumed before its task waits hands
        // the store over.
        let opened = Lock(Result<FileStore, StoreError>.failure(.noThread))
        await withCheckedContinuation { continuation in
            let isStarted = tryToStartThread {
                refuseFileSizeSignal()
                let result: Result<FileStore, StoreError>
                do throws(StoreError) {
                    let store = try FileStore(at: path, mode: mode, configuration: configuration, clock: clock)
                    result = .success(store)
                } catch {
                    result = .failure(error)
                }
                opened.withLock { $0 = result }
                continuation.resume()
            }
            if !isStarted { continuation.resume() }
        }
        return try opened.withLock { $0 }.get()
    }

    /// Opens the store, and blocks the thread meanwhile.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - mode: Whether the store is written.
    ///   - configuration: The limits of the store, and of what its opening believes about the wall clock.
    ///   - clock: Measures expiry and leases while the store is open.
    ///   - fileSystem: Where the directory is.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - tuning: Sizes that only tests change.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        mode: Mode = .readWrite,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock(),
        fileSystem: any FileSystem = PosixFileSystem(),
        unixTime: Int64 = unixNanoseconds(),
        tuning: LogTuning = LogTuning()
    ) throws(StoreError) {
        if mode == .readOnly {
            let recovered: RecoveredState
            do throws(StoreError) {
                recovered = try RecoveredState(
                    reading: path,
                    configuration,
                    fileSystem: fileSystem,
                    unixTime: unixTime
                )
            } catch {
                throw error.at(path)
            }
            backing = .copy(StoreCopy(recovered, TimeSource(clock)))
            capabilities = recovered.capabilities
            recovery = recovered.report
            return
        }
        let opening: LogOpening
        do throws(StoreError) {
            opening = try LogOpening(
                at: path,
                configuration: configuration,
                fileSystem: fileSystem,
                unixTime: unixTime,
                tuning: tuning
            )
        } catch {
            let canBeRead = error.reason == .diskFull || error.reason == .readOnly
            throw error.at(path, canBeRead ? "; FileStore.open(at:mode: .readOnly) reads it as it is" : "")
        }
        let engine = LogEngine(opening, TimeSource(clock))
        backing = .log(engine)
        capabilities = opening.capabilities
        recovery = opening.recovery
        // The thread holds the engine and not the store, so a store that nobody holds any more ends.
        let isStarted = tryToStartThread {
            refuseFileSizeSignal()
            engine.run()
        }
        if !isStarted {
            opening.writer.release()
            throw .noThread
        }
    }

    deinit { if case .log(let engine) = backing { engine.abandon() } }

    private func submit<Result>(_ request: LogRequest<Result>) async throws(StoreError) -> Result {
        switch backing {
        case .log(let engine): try await engine.submit(request)
        case .copy(let copy): try copy.submit(request)
        }
    }

    /// The figures of the store's content now, beside its limits.
    public var usage: StoreUsage {
        switch backing {
        case .log(let engine): engine.usage
        case .copy(let copy): copy.usage
        }
    }

    /// The error of the last attempt to rewrite the log, or `nil` if it succeeded.
    ///
    /// The store goes on with the log as it is, which grows, and tries again after another 16 MiB. No free descriptor and
    /// a full disk are the usual causes.
    public var compactionFailure: StoreError? {
        switch backing {
        case .log(let engine): engine.compactionFailure
        case .copy: nil
        }
    }

    /// Waits until everything under way is written, marks the log as complete, and gives up the lock.
    ///
    /// Later calls throw `closed`. A store that is released instead does the same at some later time; until then it
    /// cannot be opened. A store whose process ends without this loses nothing, but is less sure to notice damage.
    public func close() async {
        switch backing {
        case .log(let engine): await engine.close()
        case .copy(let copy): copy.close()
        }
    }

    /// Reads entries, all at one moment.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await submit(.get(keys))
    }

    /// Makes all writes in one step, or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await submit(.commit(writes))
    }

    /// Makes all writes and adds all records in one step, or none.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> RecordCommitResult {
        try await submit(.commit(writes, records))
    }

    /// Makes all updates in one step, or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await submit(.update(updates))
    }

    /// Reads entries in the order of their keys.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await submit(.scan(prefix, after: after, limit: limit))
    }

    /// Adds records, all in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await submit(.enqueue(records))
    }

    /// Hands out due records under a lease.
    public func claim(
        _ queue: RecordQueue,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try await submit(.claim(queue, limit: limit, lease: lease))
    }

    /// Settles records, all in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await submit(.settle(settlements))
    }

    /// How long until a record of the queue is due.
    public func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try await submit(.nextDue(queue))
    }

    /// How many records the queue has.
    public func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts {
        try await submit(.counts(queue))
    }

    /// Reads records of one state.
    public func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await submit(.page(queue, state, after: after, limit: limit))
    }
}
