#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// The threads of the connections, which take calls from one queue.
final class ConnectionPool: Sendable {
    private struct State {
        var threads = 0
        var generation = 0
        var listeners: [ObjectIdentifier: NotificationListener] = [:]
        var isClosed = false
        /// The index of the host that the next attempt to connect begins with.
        var firstHost = 0
        var waiters: [CheckedContinuation<Void, Never>] = []

        var hasThreads: Bool { threads > 0 || !listeners.isEmpty }
    }

    let parameters: ConnectionParameters
    let configuration: LibPQTransport.Configuration
    private let queue = CallQueue()
    private let state = Lock(State())

    init(_ parameters: ConnectionParameters, configuration: LibPQTransport.Configuration) {
        self.parameters = parameters
        self.configuration = configuration
    }

    /// The number of the connections that are in use.
    ///
    /// A connection of an earlier number is closed before its next use.
    var generation: Int { state.withLock { $0.generation } }

    /// Opens a connection to the first host that answers.
    ///
    /// libpq waits until the end for a host that does not answer. Each host therefore has a part of the time.
    func openConnection(_ wait: SocketWait) -> (ServerConnection, ServerConnection.Opening) {
        let count = parameters.hostCount
        var host = state.withLock { $0.firstHost }
        var left = count
        while true {
            let connection = ServerConnection(parameters, firstHost: host)
            let part = wait.part(of: left)
            let opening = connection.open(part)
            if case .opened = opening { state.withLock { $0.firstHost = host } }
            left -= 1
            let isLate = if case .failed = opening { continuousNanoseconds() >= part.end } else { false }
            if !isLate || left == 0 || wait.isAbandoned() { return (connection, opening) }
            host = (host + 1) % count
        }
    }

    /// Replaces all connections before their next use.
    func replaceConnections() { state.withLock { $0.generation += 1 } }

    func run(_ call: Call) async throws(ConnectionFailure) -> PostgresReply {
        try await queue.run(call) { self.startThread() }
    }

    private func startThread() {
        let mayStart = state.withLock { state in
            guard state.threads < configuration.maxConnections else { return false }
            state.threads += 1
            return true
        }
        guard mayStart else { return }
        let isStarted = tryToStartThread { [self] in
            if let thread = ConnectionThread(self) { while let call = queue.next() { thread.serve(call) } }
            endThread()
        }
        if !isStarted { endThread() }
    }

    private func endThread() { end { $0.threads -= 1 } }

    /// Records the end of a thread and resumes the tasks that wait for the last thread.
    private func end(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            return state.hasThreads ? [] : exchange(&state.waiters, with: [])
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Receives notifications until the listener ends.
    func listen(_ channel: String, receive: @escaping @Sendable (String?) -> Void) async throws(StoreError) {
        guard let listener = NotificationListener(channel, receive: receive) else {
            throw StoreError(.unavailable, "the system has no file descriptors left")
        }
        let identifier = ObjectIdentifier(listener)
        let isClosed = state.withLock { state in
            if !state.isClosed { state.listeners[identifier] = listener }
            return state.isClosed
        }
        if isClosed { throw Self.closed }
        let isStarted = tryToStartThread { [self] in
            listener.run(self)
            end { $0.listeners[identifier] = nil }
        }
        if !isStarted {
            listener.end(StoreError(.unavailable, "the system has no threads left"))
            end { $0.listeners[identifier] = nil }
        }
        let error = await listener.wait()
        if error.reason != .cancelled { throw error }
    }

    private static let closed = StoreError(.unavailable, "the connection is closed")

    func close() {
        queue.close()
        let listeners = state.withLock { state in
            state.isClosed = true
            return state.listeners
        }
        for listener in listeners.values { listener.end(Self.closed) }
    }

    func closeAndWait() async {
        close()
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.hasThreads { state.waiters.append(continuation) }
                return !state.hasThreads
            }
            if isOver { continuation.resume() }
        }
    }
}

private func exchange<Value>(_ value: inout Value, with new: Value) -> Value {
    defer { value = new }
    return value
}
#endif
