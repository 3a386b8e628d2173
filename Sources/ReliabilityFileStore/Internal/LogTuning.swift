/// Sizes that only tests change.
package struct LogTuning: Sendable {
    /// How many zeros the file grows by, at least; a multiple of the sector's size.
    package var growth: Int64
    /// Past how many bytes a batch takes no more writes.
    package var batchLimit: Int
    /// How far the log grows behind its snapshot before it is compacted, at least.
    package var compactionMinimum: Int64
    /// The longest time that a store that is used goes without recording the time, in nanoseconds.
    package var timeInterval: Int64

    package init(
        growth: Int64 = 1 << 20,
        batchLimit: Int = 1 << 20,
        compactionMinimum: Int64 = 16 << 20,
        timeInterval: Int64 = 3_600_000_000_000
    ) {
        self.growth = growth
        self.batchLimit = batchLimit
        self.compactionMinimum = compactionMinimum
        self.timeInterval = timeInterval
    }
}
