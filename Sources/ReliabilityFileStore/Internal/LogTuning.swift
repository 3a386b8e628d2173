/// The sizes of a log that only tests change.
package struct LogTuning: Sendable {
    /// The minimum number of bytes by which the file grows.
    ///
    /// A multiple of the sector size.
    package var growth: Int64
    /// The payload size in bytes at which a batch accepts no further writes.
    package var batchLimit: Int
    /// The minimum growth of the log in bytes between its snapshot and a compaction.
    package var compactionMinimum: Int64

    package init(
        growth: Int64 = 1 << 20,
        batchLimit: Int = 1 << 20,
        compactionMinimum: Int64 = 16 << 20
    ) {
        self.growth = growth
        self.batchLimit = batchLimit
        self.compactionMinimum = compactionMinimum
    }
}
