package import ReliabilityCore

/// An event type with events for the failure and the recovery of a store.
package protocol StoreObservedEvent: ObservedEvent {
    /// Returns the event for a call that failed or took too long.
    static func storeDown(_ error: StoreError) -> Self
    /// The event for a call that succeeded after a failure.
    static var storeRecovered: Self { get }
}
