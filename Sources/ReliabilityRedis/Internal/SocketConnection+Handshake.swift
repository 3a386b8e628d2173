internal import ReliabilityStore

extension SocketConnection {
    /// Connects to a server, authenticates and selects the database.
    ///
    /// - Throws: `unavailable` if the server cannot be reached, or `failed` if the server rejects the credentials or the
    ///   database.
    static func open(
        _ address: RedisAddress,
        limit: Duration,
        onLoss: @escaping @Sendable (String) -> Void
    ) async throws(StoreError) -> SocketConnection {
        let connection: SocketConnection
        do throws(ConnectionFailure) {
            connection = try await connect(to: address.endpoint, limit: limit, onLoss: onLoss)
        } catch { throw StoreError(.unavailable, error.explanation, underlyingError: error) }
        do throws(StoreError) { try await connection.begin(address, limit) } catch {
            await connection.close()
            throw error
        }
        return connection
    }

    private func begin(_ address: RedisAddress, _ limit: Duration) async throws(StoreError) {
        if let password = address.password {
            let user = address.user.map { [Array($0)] } ?? []
            try await run(
                [Array("AUTH")] + user + [Array(password)],
                limit,
                "the server rejected the user or the password"
            )
        }
        if address.database != 0 {
            let database = address.database
            try await run(
                [Array("SELECT"), Array(database)],
                limit,
                "the server has no database \(database); correct the number of the database"
            )
        }
    }

    /// Runs a command, for whose unexpected errors an explanation is given.
    private func run(_ command: [[UInt8]], _ limit: Duration, _ explanation: String) async throws(StoreError) {
        let reply: RedisReply
        do throws(ConnectionFailure) { reply = try await send(command, keys: 0..<0, limit: limit) } catch {
            throw StoreError(.unavailable, error.explanation, underlyingError: error)
        }
        guard case .error(let text) = reply else { return }
        let error = StoreError(serverError: text)
        throw error.reason == .failed && text.hasPrefix("ERR ") ? StoreError(.failed, explanation) : error
    }
}
