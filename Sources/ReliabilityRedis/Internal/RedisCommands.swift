internal import ReliabilityCore
internal import ReliabilityStore

/// The client for calls while the server is ready.
final class RedisReadiness: Sendable {
    // A generic type of another module would not be specialized, and each call would look its metadata up.
    private let lease = Lock<ConnectionSupervisor<any RedisTransport>.Lease?>(nil)

    var current: ConnectionSupervisor<any RedisTransport>.Lease? { lease.withLock { $0 } }

    func use(_ lease: ConnectionSupervisor<any RedisTransport>.Lease?) { self.lease.withLock { $0 = lease } }
}

/// Runs scripts on the present client of a server and translates failures.
final class RedisCommands: Sendable {
    private let supervisor: ConnectionSupervisor<any RedisTransport>
    private let readiness: RedisReadiness
    private let timeout: Duration
    private let waiting = WaitingCalls()

    init(_ supervisor: ConnectionSupervisor<any RedisTransport>, _ readiness: RedisReadiness, timeout: Duration) {
        self.supervisor = supervisor
        self.readiness = readiness
        self.timeout = timeout
    }

    /// Runs a script that changes nothing.
    func read(_ script: RedisScript, keys: [[UInt8]], _ arguments: [[UInt8]]) async throws(StoreError) -> ReplyReader {
        try ReplyReader(try await run(script, keys, arguments, isWrite: false))
    }

    /// Runs a script that may change something, once.
    func write(_ script: RedisScript, keys: [[UInt8]], _ arguments: [[UInt8]]) async throws(StoreError) -> ReplyReader {
        try ReplyReader(try await run(script, keys, arguments, isWrite: true))
    }

    /// Sends a command other than a script, which changes nothing.
    func send(_ command: [[UInt8]], keys: Range<Int>) async throws(StoreError) -> RedisReply {
        try checked(try await reply(command, keys, isWrite: false, since: continuousNanoseconds()))
    }

    /// Removes keys without an entry from the index.
    ///
    /// - Parameters:
    ///   - missing: The key of each entry on the server and its member of the index.
    ///   - index: The key of the index.
    /// - Throws: `StoreError`.
    func prune(_ missing: [(key: [UInt8], member: [UInt8])], _ index: [UInt8]) async throws(StoreError) {
        _ = try await run(.prune, [index] + missing.map(\.key), missing.map(\.member), isWrite: false)
    }

    private func run(
        _ script: RedisScript,
        _ keys: [[UInt8]],
        _ arguments: [[UInt8]],
        isWrite: Bool
    ) async throws(StoreError) -> RedisReply {
        let positions = 3..<3 + keys.count
        var command: [[UInt8]] = []
        command.reserveCapacity(3 + keys.count + arguments.count)
        command += [Word.evalSHA, script.digest, Word.number(keys.count)]
        command += keys
        command += arguments
        let start = continuousNanoseconds()
        let reply = try await reply(command, positions, isWrite: isWrite, since: start)
        if case .error(let text) = reply, text.hasPrefix("NOSCRIPT") {
            // The server has lost its scripts, and nothing ran.
            command[0] = Word.eval
            command[1] = script.source
            return try checked(try await self.reply(command, positions, isWrite: isWrite, since: start))
        }
        return try checked(reply)
    }

    private func checked(_ reply: RedisReply) throws(StoreError) -> RedisReply {
        guard case .error(let text) = reply else { return reply }
        throw StoreError(replyInUse: text)
    }

    private func reply(
        _ command: [[UInt8]],
        _ keys: Range<Int>,
        isWrite: Bool,
        since start: Int64
    ) async throws(StoreError) -> RedisReply {
        guard let lease = readiness.current else { throw supervisor.rejection() }
        // The second command of a call has the rest of the time.
        let elapsed = Duration.nanoseconds(continuousNanoseconds().saturatingSubtract(start))
        var limit = max(.milliseconds(1), timeout - elapsed)
        if let remaining = Deadline.current?.remaining {
            if remaining <= .zero {
                throw StoreError(.unavailable, "the caller's deadline passed before the server was called")
            }
            limit = min(limit, remaining)
        }
        defer { waiting.end() }
        try waiting.begin()
        do throws(ConnectionFailure) {
            let reply = try await lease.client.send(command, keys: keys, limit: limit)
            if case .error(let text) = reply { record(text, lease) }
            return reply
        } catch {
            let error = translate(error, isWrite: isWrite)
            // A short limit of the caller is no evidence, and neither is the caller's cancellation.
            if CancellationCause.current != .caller, limit >= timeout / 10 { supervisor.failed(lease, error) }
            throw error
        }
    }

    private func translate(_ failure: ConnectionFailure, isWrite: Bool) -> StoreError {
        if isWrite, failure.isSent {
            return StoreError(.unknownOutcome, failure.explanation, underlyingError: failure)
        }
        let reason: StoreError.Reason = CancellationCause.current == .caller ? .cancelled : .unavailable
        return StoreError(reason, failure.explanation, underlyingError: failure)
    }

    /// Records an error reply that says that the server cannot serve the store.
    private func record(_ text: String, _ lease: ConnectionSupervisor<any RedisTransport>.Lease) {
        switch RedisErrorKind(text) {
        case .unavailable: supervisor.failed(lease, StoreError(replyInUse: text))
        case .demoted: supervisor.lost(lease, StoreError(replyInUse: text))
        case .other: break
        }
    }
}
