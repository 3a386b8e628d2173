/// The result of a single write.
public enum WriteResult: Hashable, Sendable {
    /// The write was made.
    ///
    /// The value is the version of the entry after the write, or `nil` if there is no entry.
    case committed(StoreVersion?)
    /// No write was made because the condition was false.
    ///
    /// The value is the present entry, or `nil` if there is no entry.
    case conflict(StoreEntry?)
}

extension CommitResult {
    /// Creates the result of a commit with one write.
    package init(_ result: WriteResult) {
        switch result {
        case .committed(let version): self = .committed([version])
        case .conflict(let current): self = .conflict(index: 0, current: current)
        }
    }
}
