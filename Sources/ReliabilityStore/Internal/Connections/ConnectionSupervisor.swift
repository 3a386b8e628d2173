package import ReliabilityCore

/// Connects to a server, checks the server, and connects again after a failure.
///
/// The supervisor watches a whole client, which may be a pool. Calls are rejected while the server is not ready. No call
/// waits in a queue of the supervisor.
package final class ConnectionSupervisor<Client: Sendable>: Sendable {
    /// A client for one call.
    package struct Lease: Sendable {
        package let client: Client
        fileprivate let number: UInt64
    }

    /// The functions for a kind of server.
    package struct Server: Sendable {
        /// The name of the server without credentials, for errors.
        var name: String
        /// Returns the address of a client's server without credentials, or `nil` if the name contains the address.
        var address: @Sendable (Client) -> String?
        /// Connects to the server.
        ///
        /// The function's argument is called when the client cannot be used any more.
        var connect: @Sendable (_ onLoss: @escaping @Sendable (String) -> Void) async throws(StoreError) -> Client
        /// Checks the server of a new client.
        ///
        /// A client that is not admitted is closed.
        var admit: @Sendable (Client) async throws(StoreError) -> Void
        /// Checks that the server answers and keeps the promises of the store.
        var check: @Sendable (Client) async throws(StoreError) -> Void
        var close: @Sendable (Client) async -> Void
        /// Receives the client for calls when the server becomes ready, and `nil` when the server is not ready any more.
        ///
        /// The function runs under a lock.
        var use: @Sendable (Lease?) -> Void

        package init(
            name: String,
            address: @escaping @Sendable (Client) -> String? = { _ in nil },
            connect:
                @escaping @Sendable (_ onLoss: @escaping @Sendable (String) -> Void) async throws(StoreError) -> Client,
            admit: @escaping @Sendable (Client) async throws(StoreError) -> Void,
            check: @escaping @Sendable (Client) async throws(StoreError) -> Void,
            close: @escaping @Sendable (Client) async -> Void,
            use: @escaping @Sendable (Lease?) -> Void
        ) {
            self.name = name
            self.address = address
            self.connect = connect
            self.admit = admit
            self.check = check
            self.close = close
            self.use = use
        }
    }

    private typealias Machine = ConnectionStateMachine<Client>
    private typealias Opening = Rendezvous<Result<Void, StoreError>>

    private struct State {
        var machine: Machine
        var opening = Opening()
        /// The address of the server of the last client.
        var address: String?
        var timer: TimeSource.Timer?
        var timerNumber: UInt64 = 0
    }

    private let server: Server
    private let timeSource: TimeSource
    private let randomness: RandomSource
    private let events: EventSink<StoreConnectionEvent>
    private let mustReachServer: Bool
    private let state: Lock<State>

    /// Creates a supervisor, which does nothing before ``open()``.
    ///
    /// - Parameters:
    ///   - server: The functions for the server.
    ///   - mustReachServer: `true` if ``open()`` throws when all attempts fail, and `false` if ``open()`` then returns.
    ///   - limits: The limits.
    ///   - timeSource: The clock of the limits.
    ///   - randomness: The random numbers of the delays.
    ///   - events: The sink of changes of the state.
    package init(
        _ server: Server,
        mustReachServer: Bool = true,
        limits: ConnectionLimits = ConnectionLimits(),
        timeSource: TimeSource = .continuous,
        randomness: RandomSource = RandomSource(SystemRandomNumberGenerator()),
        events: EventSink<StoreConnectionEvent>
    ) {
        self.server = server
        self.mustReachServer = mustReachServer
        self.timeSource = timeSource
        self.randomness = randomness
        self.events = events
        state = Lock(State(machine: Machine(limits)))
    }

    /// The present state.
    package var connectionState: StoreConnectionState { state.withLock { $0.machine.state } }

    // MARK: Opening and closing

    /// Connects for the first time.
    ///
    /// The supervisor keeps connecting after an opening that returns, until ``close()``.
    ///
    /// - Throws: The last error if the server cannot be reached, or the first error if the server answers and does not
    ///   keep a promise of the store. The supervisor is then closed.
    package func open() async throws(StoreError) {
        step { machine, now, _ in machine.start(now: now) }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { $0.opening.wait(continuation) }?.resume()
            }
        } onCancel: {
            finishOpening(.failure(StoreError(.cancelled, "the task was cancelled during the opening")))
        }
        if case .failure(let error) = result {
            close()
            throw openingError(error)
        }
    }

    /// Adds the name of the server to an error.
    private func openingError(_ error: StoreError) -> StoreError {
        switch error.reason {
        case .cancelled, .closed: error
        default:
            StoreError(
                error.reason,
                "\(name) cannot be used: \(error.explanation)",
                underlyingError: error.underlyingError
            )
        }
    }

    /// The name and the address of the server.
    private var name: String { server.name + (state.withLock { $0.address }.map { " at \($0)" } ?? "") }

    private func finishOpening(_ result: Result<Void, StoreError>) {
        state.withLock { $0.opening.resolve(result) }?.resume()
    }

    /// Closes the client and ends all attempts.
    package func close() {
        step { machine, _, _ in machine.close() }
        let timer = state.withLock { $0.timer.take() }
        timer?.cancel()
        finishOpening(.failure(StoreError(.closed, "the store was closed")))
    }

    // MARK: Calls

    /// Returns the error for a call while the server is not ready.
    package func rejection() -> StoreError { rejection(state.withLock { $0.machine }) }

    private func rejection(_ machine: Machine) -> StoreError {
        let name = name
        let cause = machine.lastError.map { ": \($0.explanation)" } ?? ""
        return switch machine.phase {
        case .closed: StoreError(.closed, "the store was closed")
        case .gone: StoreError(.unavailable, "\(name) is gone\(cause)", underlyingError: machine.lastError)
        case .degraded:
            StoreError(.unavailable, "\(name) is degraded\(cause)", underlyingError: machine.lastError)
        case .connecting, .ready:
            StoreError(
                .unavailable,
                "\(name) is being connected (failed attempts: \(machine.failedAttempts))\(cause)",
                underlyingError: machine.lastError
            )
        }
    }

    /// Records a call that the server failed.
    ///
    /// A call that its caller ended is not a failure of the server.
    package func failed(_ lease: Lease, _ error: StoreError) {
        step { machine, now, _ in machine.failed(lease.number, error, now: now) }
    }

    /// Records that the client of a lease cannot be used any more, such as after the demotion of its server.
    package func lost(_ lease: Lease, _ error: StoreError) {
        step { $0.lost(lease.number, error, now: $1, random: $2) }
    }

    // MARK: Steps

    private func step(_ transition: (inout Machine, _ now: Int64, _ random: UInt64) -> [Machine.Action]) {
        let random = randomness.next()
        let (actions, dropped, hasFailed) = state.withLock { state -> ([Machine.Action], [any Sendable], Bool) in
            // Read under the lock, so that the readings of the machine do not go back.
            let actions = transition(&state.machine, timeSource.now, random)
            let number = state.machine.number
            server.use(state.machine.readyClient.map { Lease(client: $0, number: number) })
            var dropped: [any Sendable] = []
            for case .report(let from, let to, let error) in actions {
                // Under the lock, so that the events are in the order of the changes.
                if let event = events.emitUnderLock(.changed(from: from, to: to, reason: error)) {
                    dropped.append(event)
                }
            }
            return (actions, dropped, state.machine.failedAttempts > 0)
        }
        withExtendedLifetime(dropped) {}
        // The work belongs to no call, and in particular has no caller's deadline.
        withoutCallContext { for action in actions { run(action) } }
        // Without a server, an opening that does not need the server returns after the first attempt.
        if hasFailed, !mustReachServer { finishOpening(.success(())) }
    }

    private func run(_ action: Machine.Action) {
        switch action {
        case .connect(let number, let limit):
            wait(until: limit)
            startWork { await self.connect(number) }
        case .check(let number, let client, let limit):
            wait(until: limit)
            startWork { await self.check(number, client) }
        case .wait(let instant): wait(until: instant)
        case .close(let client):
            let close = server.close
            _ = startTask(on: timeSource.taskExecutor) { await close(client) }
        case .report(_, let new, let error):
            switch (new, error) {
            case (.ready, _): finishOpening(.success(()))
            case (.gone, let error?), (.degraded, let error?):
                if mustReachServer || new == .degraded { finishOpening(.failure(error)) }
            default: break
            }
        }
    }

    /// Starts an attempt or a check, and cancels the work at the limit.
    ///
    /// The result of work that ignores the cancellation is dropped.
    private func startWork(_ work: @escaping @Sendable () async -> Void) {
        let limit = state.withLock { $0.machine.limits.attemptLimit }
        _ = startTask(on: timeSource.taskExecutor) { [timeSource] in
            _ = await withinLimit(limit, timeSource: timeSource, operation: work)
        }
    }

    private func wait(until instant: Int64) {
        let (number, old) = state.withLock { state in
            state.timerNumber += 1
            return (state.timerNumber, state.timer.take())
        }
        old?.cancel()
        // The timer may fire before this call returns, so the timer is stored afterwards.
        let timer = timeSource.timer(at: instant) { [weak self] in self?.timerFired(number) }
        let isStale = state.withLock { state in
            if state.timerNumber != number || state.machine.isClosed { return true }
            state.timer = timer
            return false
        }
        if isStale { timer.cancel() }
    }

    private func timerFired(_ number: UInt64) {
        guard state.withLock({ $0.timerNumber == number }) else { return }
        step { $0.wake(now: $1, random: $2) }
    }

    private func connect(_ number: UInt64) async {
        do throws(StoreError) {
            let client = try await server.connect { [weak self] explanation in
                self?.step { $0.lost(number, StoreError(.unavailable, explanation), now: $1, random: $2) }
            }
            let address = server.address(client)
            state.withLock { $0.address = address }
            do throws(StoreError) { try await server.admit(client) } catch {
                await server.close(client)
                throw error
            }
            step { $0.connected(number, client, now: $1, random: $2) }
        } catch {
            step { $0.failedToConnect(number, error, now: $1, random: $2) }
        }
    }

    private func check(_ number: UInt64, _ client: Client) async {
        var failure: StoreError?
        do throws(StoreError) { try await server.check(client) } catch { failure = error }
        step { $0.checked(number, failure, now: $1, random: $2) }
    }
}
