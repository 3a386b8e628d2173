#if Valkey
public import Logging
internal import ReliabilityCore
public import ReliabilityRedis
public import ReliabilityStore
public import Valkey

/// A way to a Redis or Valkey server through the client of valkey-swift.
///
/// A transport runs a client of its own, or uses a client of the program. A call leases a connection of the client's
/// pool. The time limit of a call includes the wait for the connection. A call that is cancelled or late closes its
/// connection, so a late reply never reaches another call.
public final class ValkeyTransport: RedisTransport {
    private enum Client: Sendable {
        case single(ValkeyClient)
        case cluster(ValkeyClusterClient)

        func execute(_ command: BinaryCommand) async throws(ValkeyClientError) -> RESPToken {
            switch self {
            case .single(let client): try await client.execute(command)
            case .cluster(let client): try await client.execute(command)
            }
        }

        func run() async {
            switch self {
            case .single(let client): await client.run()
            case .cluster(let client): await client.run()
            }
        }
    }

    /// The largest number of closed connections that a call tries.
    private static let maxLeases = 20

    private let client: Client
    private let timeSource = TimeSource.continuous
    /// The task that runs the client, or `nil` if the program runs the client.
    private let running: Task<Void, Never>?
    private let isClosed = Lock(false)

    private init(_ client: Client, isOwned: Bool) {
        self.client = client
        running = isOwned ? Task { await client.run() } : nil
    }

    deinit { running?.cancel() }

    /// Creates a transport over a client that the program runs.
    ///
    /// ``close()`` does not end the client. The client should have a command timeout of 3 seconds or less. After an
    /// outage, the client of the program may wait up to a minute until its next attempt to connect.
    ///
    /// - Parameter client: The client. Its `run()` must be running.
    public convenience init(_ client: ValkeyClient) { self.init(.single(client), isOwned: false) }

    /// Creates a transport over a cluster's client that the program runs.
    ///
    /// The same applies as to the client of a single server.
    ///
    /// - Parameter client: The client. Its `run()` must be running.
    public convenience init(_ client: ValkeyClusterClient) { self.init(.cluster(client), isOwned: false) }

    /// Creates a client of a single server and runs the client until ``close()``.
    ///
    /// The call does not wait for a connection. The client never repeats a command by itself.
    ///
    /// - Parameters:
    ///   - address: The address of the server.
    ///   - configuration: The credentials, the database, TLS and the pool. The command timeout is at most 3 seconds, and
    ///     commands go to the primary. Defaults to no credentials and no TLS.
    ///   - logger: The logger of the client. Defaults to no log.
    /// - Returns: The transport.
    public static func connect(
        to address: ValkeyServerAddress,
        configuration: ValkeyClientConfiguration = ValkeyClientConfiguration(),
        logger: Logger? = nil
    ) -> ValkeyTransport {
        let client = ValkeyClient(address, configuration: configuration.forOneAttempt, logger: logger ?? .silent)
        return ValkeyTransport(.single(client), isOwned: true)
    }

    /// Creates a client of a cluster and runs the client until ``close()``.
    ///
    /// All keys of a store are on one node. The client finds the node and follows a store that moves to another node.
    ///
    /// - Parameters:
    ///   - nodes: Finds the first nodes of the cluster, such as `ValkeyStaticNodeDiscovery`.
    ///   - configuration: The credentials, TLS and the pool of each node. The command timeout is at most 3 seconds, and
    ///     commands go to the primary. Defaults to no credentials and no TLS.
    ///   - logger: The logger of the client. Defaults to no log.
    /// - Returns: The transport.
    public static func connect(
        toCluster nodes: some ValkeyNodeDiscovery,
        configuration: ValkeyClientConfiguration = ValkeyClientConfiguration(),
        logger: Logger? = nil
    ) -> ValkeyTransport {
        let client = ValkeyClusterClient(
            nodeDiscovery: nodes,
            configuration: ValkeyClusterClientConfiguration(client: configuration.forOneAttempt),
            logger: logger ?? .silent
        )
        return ValkeyTransport(.cluster(client), isOwned: true)
    }

    /// Sends a command once and waits for its reply.
    ///
    /// - Parameters:
    ///   - command: The command and its arguments.
    ///   - keys: The positions of the keys in `command`. A cluster's client finds the node by the keys.
    ///   - limit: The longest time for the call, including the wait for a connection.
    /// - Returns: The reply.
    /// - Throws: `ConnectionFailure` if no reply arrives within the limit.
    public func send(
        _ command: [[UInt8]],
        keys: Range<Int>,
        limit: Duration
    ) async throws(ConnectionFailure) -> RedisReply {
        if isClosed.withLock({ $0 }) { throw ConnectionFailure(isSent: false, "the connection was closed") }
        if Task.isCancelled { throw ConnectionFailure(isSent: false, "the task was cancelled before the command") }
        let command = BinaryCommand(command, keys: keys)
        let result = await withinLimit(limit, timeSource: timeSource) { [client] in
            // The pool may lease a connection whose end the pool has not seen yet.
            var leases = 0
            while true {
                do throws(ValkeyClientError) {
                    return Result<RESPToken, ValkeyClientError>.success(try await client.execute(command))
                } catch {
                    leases += 1
                    let isUsedUp = command.progress.isSent || Task.isCancelled || leases == Self.maxLeases
                    if isUsedUp || !error.isClosed { return .failure(error) }
                }
            }
        }
        // No attempt that is still running sends the command from here on.
        let isSent = command.progress.end()
        switch result {
        case .success(let token): return RedisReply(token)
        case .failure(let error):
            if error.errorCode == .commandError { return .error(error.message ?? "ERR") }
            // The message of the client may quote the reply.
            throw ConnectionFailure(
                isSent: isSent,
                "the client of the server failed: \(error.errorCode)",
                underlyingError: error
            )
        case nil: throw ConnectionFailure(isSent: isSent, "the server did not answer within \(limit)")
        }
    }

    /// Closes the connections, unless the program runs the client.
    public func close() async {
        isClosed.withLock { $0 = true }
        running?.cancel()
        await running?.value
    }
}

extension ValkeyClientError {
    /// A Boolean value that indicates whether the leased connection was already closed.
    fileprivate var isClosed: Bool {
        [.connectionClosed, .connectionClosing, .connectionClosedDueToCancellation].contains(errorCode)
    }
}

extension ValkeyClientConfiguration {
    /// The configuration with the limits of a store.
    var forOneAttempt: ValkeyClientConfiguration {
        var configuration = self
        // A repetition by the client would hide the state of the server and exceed the limit of a call.
        configuration.retryParameters = RetryParameters(maxAttempts: 0)
        configuration.commandTimeout = min(commandTimeout, .seconds(3))
        configuration.readOnlyCommandNodeSelection = .primary
        return configuration
    }
}

extension Logger {
    static var silent: Logger { Logger(label: "ReliabilityValkey") { _ in SwiftLogNoOpLogHandler() } }
}
#endif
