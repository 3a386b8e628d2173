/// The result of a commit with records.
public enum RecordCommitResult: Hashable, Sendable {
    /// All writes were made and all records are pending, in one step.
    ///
    /// The versions are those of ``CommitResult/committed(_:)``. The result of each record is
    /// ``EnqueueResult/enqueued`` for a new record or ``EnqueueResult/duplicate`` for a record that was already pending
    /// with the same payload.
    case committed([StoreVersion?], records: [EnqueueResult])
    /// Nothing was changed because the condition of the write at `index` was false.
    ///
    /// `current` is the present entry, or `nil` if there is no entry.
    case conflict(index: Int, current: StoreEntry?)
    /// Nothing was changed because another record has the identity of the record at `index`.
    ///
    /// The other record is in the given state. The other record is a dead letter or has another payload.
    case taken(index: Int, by: RecordState)
}

extension RecordCommitResult {
    /// Creates the result of a commit without records.
    package init(_ result: CommitResult) {
        switch result {
        case .committed(let versions): self = .committed(versions, records: [])
        case .conflict(let index, let current): self = .conflict(index: index, current: current)
        }
    }
}
