import ReliabilityCore
import ReliabilityPostgres
import ReliabilityRedis
import ReliabilityStore

#if LibPQ
import ReliabilityLibPQ
#endif

/// Opens a store on a server.
///
/// Calls have short time limits, so that a paused server exceeds the limits. The connections end with the store.
///
/// - Parameters:
///   - address: A `redis` or `unix` URL for a `RedisStore`, or a `postgres` URL for a `PostgresStore`.
///   - name: The name of the store, or the schema of the database.
///   - observer: Receives the changes of the connection's state. Defaults to no observer.
/// - Returns: The store.
/// - Throws: `StoreError` if the server cannot be reached.
func openStore(
    at address: String,
    named name: String,
    observer: @escaping @Sendable (StoreConnectionEvent) -> Void = { _ in }
) async throws -> any RecordStore {
    #if LibPQ
    if address.hasPrefix("postgres:") {
        let limits = LibPQTransport.Configuration.ServerLimits(statement: .milliseconds(600), lock: .milliseconds(400))
        let configuration = PostgresStore.Configuration(schema: name, callTimeout: .milliseconds(800))
        return try await PostgresStore(configuration, observer: observer) {
            try LibPQTransport(address, configuration: .init(maxConnections: 4, serverLimits: limits))
        }
    }
    #endif
    var configuration = RedisStore.Configuration(name: name)
    configuration.commandTimeout = .milliseconds(800)
    return try await RedisStore(configuration, address: RedisAddress(address), observer: observer)
}

extension StoreError {
    /// A Boolean value that indicates whether a process makes the call again.
    var isTemporary: Bool {
        switch reason {
        case .unavailable, .unknownOutcome, .diskFull, .capacityExceeded: true
        default: false
        }
    }
}
