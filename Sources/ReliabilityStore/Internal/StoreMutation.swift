/// An absolute change of a store's state.
///
/// Applying a mutation twice equals applying the mutation once.
package enum StoreMutation: Hashable, Sendable {
    case put(StoreKey, StoredEntry)
    case remove(StoreKey)
    case putRecord(StoredRecord)
    case removeRecord(queue: String, id: String)
}
