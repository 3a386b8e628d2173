/// The state of a store's connection to its server.
///
/// The state is regained without any intervention when the server is back.
@nonexhaustive
public enum StoreConnectionState: Hashable, Sendable {
    /// The store connects, in at most ten attempts. Calls are rejected.
    case connecting
    /// The server has answered and keeps the promises of the store. Calls reach the server.
    case ready
    /// The server fails or does not keep a promise of the store. Calls are rejected until a check succeeds.
    case degraded
    /// All attempts to connect have failed. Calls are rejected, and an attempt follows each second.
    case gone
    /// The store was closed.
    case closed
}
