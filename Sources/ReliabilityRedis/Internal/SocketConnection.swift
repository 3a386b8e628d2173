internal import ReliabilityCore
internal import ReliabilityStore

/// A pipelining connection over a socket.
///
/// The server answers commands in the order in which the connection sends the commands. A thread reads the replies. A
/// caller that leaves does not affect the other callers, and its reply is dropped. If a command has no reply within the
/// connection's time limit, the connection ends, because a later reply would have no caller.
final class SocketConnection: RedisTransport, Sendable {
    private struct State {
        /// The calls whose replies have not arrived, in the order of their commands.
        var calls: [SocketCall] = []
        /// The number of calls at the start of `calls` whose replies have arrived.
        var answered = 0
        /// The commands that no thread writes yet.
        var unsent: [UInt8] = []
        /// A Boolean value that indicates whether a task will write `unsent`.
        var isFlushScheduled = false
        /// A Boolean value that indicates whether a thread writes.
        ///
        /// The other callers add to `unsent`.
        var isWriting = false
        /// A Boolean value that indicates whether the system takes no more bytes.
        ///
        /// The reader thread then writes.
        var isBlocked = false
        /// The number of all bytes, and of the bytes that the system may have taken.
        var totalCount: UInt64 = 0
        var handedCount: UInt64 = 0
        var failure: String?
    }

    /// The largest number of commands without a reply.
    private static let maxCalls = 10_000
    /// The largest number of bytes that wait for a server which takes none.
    private static let maxUnsent = 64 << 20
    /// The largest buffer that is kept for later commands.
    private static let maxIdleCapacity = 1 << 16

    private let socket: Socket
    /// The longest time in nanoseconds from a command to its reply.
    private let limit: Int64
    private let onLoss: @Sendable (String) -> Void
    private let state = Lock(State())

    private init(_ socket: Socket, limit: Duration, onLoss: @escaping @Sendable (String) -> Void) {
        self.socket = socket
        self.limit = max(1, limit.saturatingNanoseconds)
        self.onLoss = onLoss
    }

    /// Connects on a thread of the connection.
    ///
    /// - Parameters:
    ///   - endpoint: The address.
    ///   - limit: The longest duration of an attempt to connect and of a command.
    ///   - onLoss: The function that is called once, when the connection ends, with the reason.
    /// - Returns: The connection.
    /// - Throws: `ConnectionFailure`.
    static func connect(
        to endpoint: RedisAddress.Endpoint,
        limit: Duration,
        onLoss: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(ConnectionFailure) -> SocketConnection {
        let outcome = Lock(
            Result<SocketConnection, ConnectionFailure>.failure(
                ConnectionFailure(isSent: false, "the system rejects a thread")
            )
        )
        await withCheckedContinuation { continuation in
            let isStarted = tryToStartThread {
                do throws(ConnectionFailure) {
                    let connection = SocketConnection(try Socket(endpoint, limit: limit), limit: limit, onLoss: onLoss)
                    outcome.withLock { $0 = .success(connection) }
                    continuation.resume()
                    connection.run()
                } catch {
                    outcome.withLock { $0 = .failure(error) }
                    continuation.resume()
                }
            }
            if !isStarted { continuation.resume() }
        }
        return try outcome.withLock { $0 }.get()
    }

    // MARK: Calls

    func send(
        _ command: [[UInt8]],
        keys: Range<Int>,
        limit: Duration
    ) async throws(ConnectionFailure) -> RedisReply {
        var bytes: [UInt8] = []
        RESPEncoder.append(command, to: &bytes)
        let call = SocketCall()
        let ownLimit = limit.saturatingNanoseconds
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard call.begin(continuation) else { return }
                call.sentAt = continuousNanoseconds()
                if let failure = add(call, bytes) { return call.reject(failure) }
                // The connection's own limit needs no timer.
                if ownLimit < self.limit { call.arm(at: call.sentAt.saturatingAdd(ownLimit)) }
            }
        } onCancel: {
            call.leave("the task was cancelled during the command")
        }
        return try result.get()
    }

    /// The writer of a command.
    private enum Writer {
        /// The caller of the command.
        case caller
        /// A task that runs after the tasks that are ready to run.
        case task
        /// The writer of an earlier command.
        case other
        /// The command is not written.
        case none(String)
    }

    /// Adds a call and sends its command as far as the system takes bytes without a wait.
    ///
    /// - Returns: The reason why the command is not sent, or `nil`.
    private func add(_ call: SocketCall, _ bytes: [UInt8]) -> String? {
        let writer = state.withLock { state -> Writer in
            if let failure = state.failure { return .none(failure) }
            if state.calls.count - state.answered >= Self.maxCalls {
                return .none("too many commands wait for a reply")
            }
            // A command that is longer than the limit is sent alone.
            if !state.unsent.isEmpty, state.unsent.count + bytes.count > Self.maxUnsent {
                return .none("the server takes no commands: \(state.unsent.count) bytes wait")
            }
            call.start = state.totalCount
            state.calls.append(call)
            state.totalCount += UInt64(bytes.count)
            state.unsent += bytes
            if state.isWriting || state.isBlocked || state.isFlushScheduled { return .other }
            // While the server is at work, the commands of all tasks that are ready to run are written together. A
            // write takes longer than the rest of a call.
            if state.calls.count - state.answered > 1 {
                state.isFlushScheduled = true
                return .task
            }
            state.isWriting = true
            return .caller
        }
        switch writer {
        case .caller: writeUnsent()
        case .task: Task.detached(priority: Task.currentPriority) { self.flush() }
        case .other: break
        case .none(let failure): return failure
        }
        return nil
    }

    /// Writes what no other thread writes.
    private func flush() {
        let mustWrite = state.withLock { state in
            state.isFlushScheduled = false
            if state.isWriting || state.isBlocked || state.unsent.isEmpty { return false }
            state.isWriting = true
            return true
        }
        if mustWrite { writeUnsent() }
    }

    /// Writes until no bytes are left or the system takes no more.
    ///
    /// Only the caller that set `isWriting` calls this method. Commands that arrive meanwhile are written together.
    private func writeUnsent() {
        var chunk: [UInt8] = []
        while true {
            let mustWrite = state.withLock { state in
                chunk.removeAll(keepingCapacity: chunk.capacity <= Self.maxIdleCapacity)
                // The two buffers take turns.
                swap(&chunk, &state.unsent)
                if chunk.isEmpty || state.failure != nil {
                    state.isWriting = false
                    return false
                }
                state.handedCount += UInt64(chunk.count)
                return true
            }
            if !mustWrite { return }
            var rest = chunk[...]
            do throws(Socket.Failure) {
                while !rest.isEmpty { rest = rest.dropFirst(try socket.send(rest)) }
            } catch {
                block(rest, error)
                return
            }
        }
    }

    /// Leaves the rest of the bytes to the reader thread.
    private func block(_ rest: ArraySlice<UInt8>, _ failure: Socket.Failure) {
        state.withLock { state in
            state.isWriting = false
            state.handedCount -= UInt64(rest.count)
            state.unsent = rest + state.unsent
            state.isBlocked = true
        }
        // The reader thread finds every other failure when it writes or reads.
        socket.wake()
    }

    func close() async { end("the connection was closed") }

    // MARK: The reader thread

    private func run() {
        var decoder = RESPDecoder()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        do throws(Socket.Failure) {
            while let (isBlocked, wait) = nextWait() {
                let (canRead, canWrite) = try socket.wait(forWriting: isBlocked, nanoseconds: wait)
                if canWrite { unblock() }
                if !canRead { continue }
                let count: Int
                do throws(Socket.Failure) { count = try socket.read(into: &buffer) } catch .wouldBlock { continue }
                decoder.append(buffer[0..<count])
                try deliver(from: &decoder)
            }
        } catch {
            switch error {
            case .closed: end("the server closed the connection")
            case .error(let number): end(Socket.describe(number))
            case .wouldBlock: end("the socket failed")
            }
        }
        // The remaining content of the socket is of no use to anyone.
        socket.shutDown()
    }

    private func deliver(from decoder: inout RESPDecoder) throws(Socket.Failure) {
        var replies: [RedisReply] = []
        do throws(RESPDecoder.Malformed) {
            while let reply = try decoder.next() { replies.append(reply) }
            deliver(replies)
        } catch {
            deliver(replies)
            end("the server sent malformed bytes")
            throw .closed
        }
    }

    /// Returns how long the thread may wait, or `nil` after the end of the connection.
    private func nextWait() -> (isBlocked: Bool, nanoseconds: Int64)? {
        let (hasFailed, isBlocked, sentAt) = state.withLock { state in
            let first = state.answered < state.calls.count ? state.calls[state.answered].sentAt : nil
            return (state.failure != nil, state.isBlocked, first)
        }
        if hasFailed { return nil }
        guard let sentAt else { return (isBlocked, limit) }
        let left = sentAt.saturatingAdd(limit).saturatingSubtract(continuousNanoseconds())
        if left > 0 { return (isBlocked, left) }
        end("the server did not reply within \(Duration.nanoseconds(limit))")
        return nil
    }

    private func unblock() {
        let mustWrite = state.withLock { state in
            if !state.isBlocked { return false }
            state.isBlocked = false
            state.isWriting = true
            return true
        }
        if mustWrite { writeUnsent() }
    }

    /// Gives replies to their calls.
    private func deliver(_ replies: [RedisReply]) {
        let calls = state.withLock { state in
            let calls = Array(state.calls[state.answered...].prefix(replies.count))
            state.answered += calls.count
            if state.answered == state.calls.count {
                state.calls.removeAll(keepingCapacity: true)
                state.answered = 0
            } else if state.answered > 256, state.answered * 2 > state.calls.count {
                state.calls.removeFirst(state.answered)
                state.answered = 0
            }
            return calls
        }
        for (call, reply) in zip(calls, replies) { call.finish(.success(reply)) }
        if calls.count < replies.count { end("the server sent a reply without a command") }
    }

    /// Ends the connection and fails all calls.
    func end(_ explanation: String) {
        let (isFirst, calls, handedCount) = state.withLock { state in
            let isFirst = state.failure == nil
            if isFirst { state.failure = explanation }
            defer { (state.calls, state.answered, state.unsent) = ([], 0, []) }
            return (isFirst, state.calls.dropFirst(state.answered), state.handedCount)
        }
        if isFirst {
            socket.shutDown()
            socket.wake()
        }
        for call in calls {
            call.finish(.failure(ConnectionFailure(isSent: call.start < handedCount, explanation)))
        }
        if isFirst { onLoss(explanation) }
    }
}
