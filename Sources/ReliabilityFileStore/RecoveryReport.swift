/// The report of an opening of a store.
public struct RecoveryReport: Hashable, Sendable {
    /// A Boolean value that indicates whether the opening created the store.
    public let isNew: Bool
    /// A Boolean value that indicates whether the store was closed or had no previous owner.
    ///
    /// If `false`: the previous process ended without a close or the disk failed. No acknowledged write is missing,
    /// except for a last frame that counted as cut off because of damage. See <doc:Guarantees>.
    public let wasClosed: Bool
    /// The number of replayed frames.
    ///
    /// A frame is the unit of writes to the log and to the checkpoint files.
    public let replayedFrames: Int
    /// The number of replayed bytes of the log and of the checkpoint files.
    public let replayedBytes: Int64
    /// The number of bytes that were dropped at the end of the log because a crash cut them off.
    ///
    /// The bytes belonged to writes that were never acknowledged or to a last frame whose damage looks like a crash.
    /// Zero if no write was in progress.
    public let droppedTailBytes: Int64
    /// The lead of the wall clock over the store's clock at the opening.
    ///
    /// - Zero: The store accepted the time of the wall clock.
    /// - Positive: The wall clock led the log's last time by more than ``FileStore/Configuration/maxClockJump`` and
    ///   was not accepted. The store's clock continues from the log's last time. No entry expired because of the lead.
    ///   <doc:Guarantees> describes the remedy.
    /// - Negative: The wall clock was behind the log's last time. The store's clock continues from the log's last time.
    ///   A fraction of a second is usual. A larger value means that the wall clock is wrong now or was wrong before.
    ///   The store needs no action.
    public let wallClockOffset: Duration

    /// Creates a report.
    package init(
        isNew: Bool,
        wasClosed: Bool,
        replayedFrames: Int,
        replayedBytes: Int64,
        droppedTailBytes: Int64,
        wallClockOffset: Duration
    ) {
        self.isNew = isNew
        self.wasClosed = wasClosed
        self.replayedFrames = replayedFrames
        self.replayedBytes = replayedBytes
        self.droppedTailBytes = droppedTailBytes
        self.wallClockOffset = wallClockOffset
    }
}
