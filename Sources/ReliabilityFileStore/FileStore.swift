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
/// - After an error from the disk nothing is acknowledged any more: writes under way end with `unknownOutcome`, and
///   the store has to be opened anew. The same holds once somebody has removed or replaced the log, so that its file
///   has no name any more. A disk that is full is another matter: writes then throw `diskFull` and change nothing,
///   reads go on, and writes succeed again once there is space.
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
    private let engine: LogEngine

    /// What the store can do.
    ///
    /// It has one owner, survives the loss of power, and stalls when its disk does.
    public let capabilities: StoreCapabilities

    /// What opening the store found.
    public let recovery: RecoveryReport

    /// Opens the store in a directory, and creates it when it is not there.
    ///
    /// All leases of the owner before end. The directory must belong to the process's user and be writable by nobody
    /// else; its parent must exist.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: How much the store may hold.
    ///   - clock: Measures expiry and leases while the store is open.
    /// - Returns: The store.
    /// - Throws: `StoreError`: `locked` while another owner has it open, `corruption` when its files are damaged,
    ///   `unsupportedFormat` when a newer version wrote them, `invalid` for a directory that is not safe or a file in it
    ///   that is none, `diskFull` when there is no space for another copy of the content, which every opening writes,
    ///   `unavailable` when another call to the system failed.
    public static func open(
        at path: String,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock()
    ) async throws(StoreError) -> FileStore {
        // Not on a thread of the pool that all tasks share: opening reads and writes the whole store.
        let result: Result<FileStore, StoreError> = await withCheckedContinuation { continuation in
            let isStarted = tryToStartThread {
                refuseFileSizeSignal()
                do throws(StoreError) {
                    let store = try FileStore(at: path, configuration: configuration, clock: clock)
                    continuation.resume(returning: .success(store))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isStarted { continuation.resume(returning: .failure(.noThread)) }
        }
        return try result.get()
    }

    /// Opens the store, and blocks the thread meanwhile.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - configuration: How much the store may hold.
    ///   - clock: Measures expiry and leases while the store is open.
    ///   - fileSystem: Where the directory is.
    ///   - unixTime: The wall clock, in nanoseconds since 1970.
    ///   - tuning: Sizes that only tests change.
    /// - Throws: `StoreError`.
    package init(
        at path: String,
        configuration: Configuration = Configuration(),
        clock: some Clock<Duration> = ContinuousClock(),
        fileSystem: any FileSystem = PosixFileSystem(),
        unixTime: Int64 = unixNanoseconds(),
        tuning: LogTuning = LogTuning()
    ) throws(StoreError) {
        let opening = try LogOpening(
            at: path,
            configuration: configuration,
            fileSystem: fileSystem,
            unixTime: unixTime,
            tuning: tuning
        )
        let engine = LogEngine(opening, TimeSource(clock))
        self.engine = engine
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

    deinit { engine.abandon() }

    /// Waits until everything under way is written, marks the log as complete, and gives up the lock.
    ///
    /// Later calls throw `closed`. A store that is released instead does the same at some later time; until then it
    /// cannot be opened. A store whose process ends without this loses nothing, but is less sure to notice damage.
    public func close() async { await engine.close() }

    /// Reads entries, all at one moment.
    public func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await engine.submit(.get(keys))
    }

    /// Makes all writes in one step, or none.
    public func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await commit(writes, enqueueing: [])
    }

    /// Makes all writes and adds all records in one step, or none.
    public func commit(
        _ writes: [StoreWrite],
        enqueueing records: [NewRecord]
    ) async throws(StoreError) -> CommitResult {
        try await engine.submit(.commit(writes, records))
    }

    /// Makes all updates in one step, or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await engine.submit(.update(updates))
    }

    /// Reads entries in the order of their keys.
    public func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await engine.submit(.scan(prefix, after: after, limit: limit))
    }

    /// Adds records, all in one step.
    public func enqueue(_ records: [NewRecord]) async throws(StoreError) -> [EnqueueResult] {
        try await engine.submit(.enqueue(records))
    }

    /// Hands out due records under a lease.
    public func claim(
        _ queue: RecordQueue,
        limit: Int,
        lease: Duration
    ) async throws(StoreError) -> [RecordClaim] {
        try await engine.submit(.claim(queue, limit: limit, lease: lease))
    }

    /// Settles records, all in one step.
    public func settle(_ settlements: [Settlement]) async throws(StoreError) -> [SettleResult] {
        try await engine.submit(.settle(settlements))
    }

    /// How long until a record of the queue is due.
    public func nextDue(_ queue: RecordQueue) async throws(StoreError) -> Duration? {
        try await engine.submit(.nextDue(queue))
    }

    /// How many records the queue has.
    public func counts(_ queue: RecordQueue) async throws(StoreError) -> RecordCounts {
        try await engine.submit(.counts(queue))
    }

    /// Reads records of one state.
    public func page(
        _ queue: RecordQueue,
        _ state: RecordState,
        after: String?,
        limit: Int
    ) async throws(StoreError) -> RecordPage {
        try await engine.submit(.page(queue, state, after: after, limit: limit))
    }
}
