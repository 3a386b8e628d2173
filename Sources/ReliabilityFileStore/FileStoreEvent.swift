public import ReliabilityCore

/// An event of a file store, for an observer.
@nonexhaustive
public enum FileStoreEvent: Hashable, Sendable, ObservedEvent {
    /// An opening takes longer than a second.
    ///
    /// The event repeats at most once a second. `bytesRead` is the number of bytes of the store's files that were read,
    /// and `totalBytes` is the size of these files. An opening need not read all bytes.
    case opening(bytesRead: Int64, totalBytes: Int64)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
