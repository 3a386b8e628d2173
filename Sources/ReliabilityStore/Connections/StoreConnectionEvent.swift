public import ReliabilityCore

/// An event of a store's connection to its server.
@nonexhaustive
public enum StoreConnectionEvent: Sendable, ObservedEvent {
    /// The state changed, with the failure that was the reason or `nil` if there was no failure.
    case changed(from: StoreConnectionState, to: StoreConnectionState, reason: StoreError?)
    /// The store is empty although the store has issued versions to this process.
    case storeWasEmptied
    /// The durability of the server's settings changed.
    case durabilityChanged(from: StoreCapabilities.Durability, to: StoreCapabilities.Durability)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
