import ReliabilityCore
import ReliabilityPostgres
import ReliabilityStore

/// A transport that plays answers and records the statements.
final class ScriptedTransport: PostgresTransport {
    enum Answer: Sendable {
        case reply(PostgresReply)
        case failure(isSent: Bool)

        static func code(_ sqlState: String) -> Answer { .reply(PostgresReply(sqlState: sqlState, message: "secret")) }
    }

    private let state: Lock<(answers: [Answer], sent: [String])>

    init(_ answers: [Answer]) { state = Lock((answers, [])) }

    var sent: [String] { state.withLock { $0.sent } }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        let answer = state.withLock { state in
            state.sent.append(sql)
            return state.answers.isEmpty ? .reply(PostgresReply()) : state.answers.removeFirst()
        }
        switch answer {
        case .reply(let reply): return reply
        case .failure(let isSent): throw ConnectionFailure(isSent: isSent, "the connection failed")
        }
    }

    func close() async {}
}

/// A transport that answers no statement before ``answer()``.
final class SilentTransport: PostgresTransport {
    private let state = Lock<(isSilent: Bool, sent: Int, waiting: [CheckedContinuation<Void, Never>])>((true, 0, []))

    var sentCount: Int { state.withLock { $0.sent } }

    func answer() {
        let waiting = state.withLock { state in
            state.isSilent = false
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        await withCheckedContinuation { continuation in
            let isSilent = state.withLock { state in
                state.sent += 1
                if state.isSilent { state.waiting.append(continuation) }
                return state.isSilent
            }
            if !isSilent { continuation.resume() }
        }
        return PostgresReply()
    }

    func close() async {}
}

/// A transport that records the arguments and the codes of another transport.
final class RecordingTransport: PostgresTransport {
    private let transport: any PostgresTransport
    private let state = Lock<(values: [(sql: String, values: [PostgresValue])], codes: [String])>(([], []))

    init(_ transport: some PostgresTransport) { self.transport = transport }

    var calls: [(sql: String, values: [PostgresValue])] { state.withLock { $0.values } }
    var codes: [String] { state.withLock { $0.codes } }

    func query(
        _ sql: String,
        _ values: [PostgresValue],
        limit: Duration
    ) async throws(ConnectionFailure) -> PostgresReply {
        state.withLock { $0.values.append((sql, values)) }
        let reply = try await transport.query(sql, values, limit: limit)
        if let code = reply.sqlState { state.withLock { $0.codes.append(code) } }
        return reply
    }

    func close() async { await transport.close() }
}
