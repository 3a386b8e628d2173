public import ReliabilityCore

/// An event of a store's connection to its server.
@nonexhaustive
public enum StoreConnectionEvent: Sendable, ObservedEvent {
    /// The state changed, with the failure that was the reason or `nil` if there was no failure.
    case changed(from: StoreConnectionState, to: StoreConnectionState, reason: StoreError?)
    /// The server has lost the content of the store since the store was opened, such as after a restart without
    /// persistence.
    case storeWasEmptied
    /// The store began to receive notifications of new records, or ended with the failure that was the reason.
    ///
    /// Without notifications, relays find new records by polling.
    case notificationsChanged(isListening: Bool, reason: StoreError?)
    /// Events were dropped before the next event, because the observer was too slow.
    case missed(count: Int)
}
