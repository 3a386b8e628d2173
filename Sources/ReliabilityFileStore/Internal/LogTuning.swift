/// The sizes of files that only tests change.
package struct LogTuning: Sendable {
    /// The minimum size in bytes of the zeros in a new segment.
    ///
    /// A multiple of the sector size.
    package var growth: Int64
    /// The payload size in bytes at which a batch accepts no further writes.
    package var batchLimit: Int
    /// The minimum number of bytes in the log between two compactions.
    package var compactionMinimum: Int64
    /// The minimum size in bytes at which a checkpoint file is complete.
    ///
    /// Defaults to four times `growth`.
    package var checkpointSize: Int64
    /// The number of entries and records that a compaction reads at a time.
    package var sliceLimit: Int

    package init(
        growth: Int64 = 1 << 20,
        batchLimit: Int = 1 << 20,
        compactionMinimum: Int64 = 16 << 20,
        checkpointSize: Int64? = nil,
        sliceLimit: Int = 256
    ) {
        self.growth = growth
        self.batchLimit = batchLimit
        self.compactionMinimum = compactionMinimum
        self.checkpointSize = checkpointSize ?? 4 * growth
        self.sliceLimit = sliceLimit
    }
}
