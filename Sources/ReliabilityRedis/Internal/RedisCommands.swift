internal import ReliabilityCore
internal import ReliabilityStore

/// Runs scripts on a connection and translates failures.
final class RedisCommands: Sendable {
    private let connection: any RedisTransport
    /// The digests by which the server knows the scripts.
    private let digests = Lock<[String: [UInt8]]>([:])

    init(_ connection: any RedisTransport) { self.connection = connection }

    func close() async { await connection.close() }

    /// Loads all scripts and keeps their digests.
    func loadScripts() async throws(StoreError) {
        for script in RedisScript.all {
            let reply = try await send([Array("SCRIPT"), Array("LOAD"), Array(script.source)], keys: 0..<0, isWrite: false)
            guard case .bytes(let digest) = reply else { throw .malformedReply }
            digests.withLock { $0[script.name] = digest }
        }
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
        try await send(command, keys: keys, isWrite: false)
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
        let count = Array<UInt8>(keys.count)
        let digest = digests.withLock { $0[script.name] } ?? []
        let reply = try await connectionReply(
            [Array("EVALSHA"), digest, count] + keys + arguments,
            keys: 3..<3 + keys.count,
            isWrite: isWrite
        )
        if case .error(let text) = reply, text.hasPrefix("NOSCRIPT") {
            // The server has lost its scripts, and nothing ran.
            return try await send(
                [Array("EVAL"), Array(script.source), count] + keys + arguments,
                keys: 3..<3 + keys.count,
                isWrite: isWrite
            )
        }
        return try checked(reply)
    }

    private func send(
        _ command: [[UInt8]],
        keys: Range<Int>,
        isWrite: Bool
    ) async throws(StoreError) -> RedisReply {
        try checked(try await connectionReply(command, keys: keys, isWrite: isWrite))
    }

    private func connectionReply(
        _ command: [[UInt8]],
        keys: Range<Int>,
        isWrite: Bool
    ) async throws(StoreError) -> RedisReply {
        do throws(ConnectionFailure) {
            return try await connection.send(command, keys: keys, limit: .seconds(3))
        } catch {
            let reason: StoreError.Reason =
                isWrite && error.isSent ? .unknownOutcome : Task.isCancelled ? .cancelled : .unavailable
            throw StoreError(reason, error.explanation, underlyingError: error)
        }
    }

    private func checked(_ reply: RedisReply) throws(StoreError) -> RedisReply {
        guard case .error(let text) = reply else { return reply }
        throw StoreError(serverError: text)
    }
}

extension StoreError {
    /// Creates the error for an error reply, after which nothing has changed.
    init(serverError text: String) {
        let code = text.prefix { $0 != " " }
        let reason: Reason
        switch code {
        case "OOM": reason = .capacityExceeded
        case "MISCONF": reason = text.contains("No space left") ? .diskFull : .unavailable
        case "BUSY", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "MOVED", "ASK", "NOREPLICAS", "READONLY":
            reason = .unavailable
        default: reason = .failed
        }
        // The text of an unknown error may quote an argument.
        let known = ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE"]
        let isKnown = reason != .failed || known.contains(String(code))
        self.init(reason, "the server rejected the command: \(isKnown ? String(code) : "an unexpected error")")
    }
}
