/// What opening a store found.
public struct RecoveryReport: Hashable, Sendable {
    /// Whether there was no store yet.
    public let isNew: Bool
    /// Whether the owner before closed the store, or there was none.
    ///
    /// Where not, its process ended first, or the disk failed it; nothing that it acknowledged is missing, but for what
    /// damage to the last frame may have taken (see <doc:Guarantees>).
    public let wasClosed: Bool
    /// How many frames of the log were replayed; a frame is what was made durable at once.
    public let replayedFrames: Int
    /// How many bytes of the log were replayed.
    public let replayedBytes: Int64
    /// How many bytes at the log's end a crash had cut off.
    ///
    /// They belonged to writes that were never acknowledged, or to a last frame that was damaged since as if by a crash.
    /// Zero where nothing was being written.
    public let droppedTailBytes: Int64
    /// The lead of the wall clock over the store's clock at the opening, negative if it was behind.
    ///
    /// Zero where the store took over the wall clock's time.
    ///
    /// - Positive: the wall clock was ahead of the log's last time by more than
    ///   ``FileStore/Configuration/maximumClockJump``, and was not believed. The store's clock goes on from the log's
    ///   last time, and nothing expired meanwhile. <doc:Guarantees> says what to do.
    /// - Negative: the wall clock was behind the log's last time, from which the store's clock goes on. A fraction of a
    ///   second is usual; more means that the wall clock is wrong now or was wrong before. The store needs nothing.
    public let wallClockOffset: Duration

    /// Creates a report.
    package init(
        isNew: Bool,
        wasClosed: Bool,
        replayedFrames: Int,
        replayedBytes: Int64,
        droppedTailBytes: Int64,
        wallClockOffset: Duration = .zero
    ) {
        self.isNew = isNew
        self.wasClosed = wasClosed
        self.replayedFrames = replayedFrames
        self.replayedBytes = replayedBytes
        self.droppedTailBytes = droppedTailBytes
        self.wallClockOffset = wallClockOffset
    }
}
