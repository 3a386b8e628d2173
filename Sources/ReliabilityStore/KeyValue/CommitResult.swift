/// The result of a commit.
public enum CommitResult: Hashable, Sendable {
    /// All writes were made in one step.
    ///
    /// The array has one element for each write. The element is the version of the entry after the commit, or `nil` if
    /// there is no entry.
    case committed([StoreVersion?])
    /// No write was made because the condition of the write at `index` was false.
    ///
    /// The index is that of the first write with a false condition. `current` is the present entry, or `nil` if there
    /// is no entry.
    case conflict(index: Int, current: StoreEntry?)
}
