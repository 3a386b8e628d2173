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

    /// Creates a report.
    package init(
        isNew: Bool,
        wasClosed: Bool,
        replayedFrames: Int,
        replayedBytes: Int64,
        droppedTailBytes: Int64
    ) {
        self.isNew = isNew
        self.wasClosed = wasClosed
        self.replayedFrames = replayedFrames
        self.replayedBytes = replayedBytes
        self.droppedTailBytes = droppedTailBytes
    }
}
