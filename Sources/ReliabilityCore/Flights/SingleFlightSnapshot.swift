/// The running operations and the counters of a ``SingleFlight`` at one moment.
public struct SingleFlightSnapshot: Hashable, Sendable {
    /// The number of keys with a running operation.
    public let running: Int
    /// The number of calls that wait for these operations.
    public let waiting: Int
    /// The number of operations that were started since the creation.
    public let started: UInt64
    /// The number of calls that joined a running operation since the creation.
    public let joined: UInt64
}
