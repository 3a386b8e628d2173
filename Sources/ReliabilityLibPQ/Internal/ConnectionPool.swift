#if LibPQ
internal import ReliabilityCore
internal import ReliabilityPostgres
internal import ReliabilityStore

/// The threads of the connections, which take calls from one queue.
final class ConnectionPool: Sendable {
    private struct State {
        var threads = 0
        var generation = 0
        var firstHost = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
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

    /// The index of the host that an attempt to connect begins with.
    var firstHost: Int {
        get { state.withLock { $0.firstHost } }
        set { state.withLock { $0.firstHost = newValue } }
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

    private func endThread() {
        let waiters = state.withLock { state in
            state.threads -= 1
            return state.threads == 0 ? exchange(&state.waiters, with: []) : []
        }
        for waiter in waiters { waiter.resume() }
    }

    func close() { queue.close() }

    func closeAndWait() async {
        close()
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.threads > 0 { state.waiters.append(continuation) }
                return state.threads == 0
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
