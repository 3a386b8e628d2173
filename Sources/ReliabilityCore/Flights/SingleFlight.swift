/// Runs one operation at a time for each key and gives its result to every call that arrives meanwhile.
///
/// ```swift
/// let flights = SingleFlight<String, Response>()
/// let response = try await flights.run(url) {
///     try await client.get(url)
/// }
/// ```
///
/// The first call of a key starts the operation. Calls of the same key join until the operation ends. The operation
/// must be safe to share, such as a read. Nothing is kept after the end.
///
/// - A call leaves immediately when its task is cancelled or its deadline passes. The other calls continue to wait.
/// - The operation is cancelled when every call has left. The next call then starts a new operation and never receives
///   the cancelled result.
/// - Every call that joined receives the same value or the same error.
/// - The operation runs outside of the caller's task and has neither the deadline nor the cancellation of a caller.
///   The correlation id, the priority and other task-local values are those of the first call. A call of a higher task
///   priority raises the priority of the operation.
/// - An operation that waits for its own key, directly or through other flights, receives a ``SingleFlightError``.
public final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// A running operation.
    private final class Run: @unchecked Sendable {
        // @unchecked Sendable: the operation writes `result` before its flight ends. The calls read `result` afterwards.
        // The lock `Flight.state` orders both.
        let flight: Flight
        var result: Result<Value, any Error>?

        init(_ flight: Flight) { self.flight = flight }
    }

    private struct State {
        var runs: [Key: Run] = [:]
        var started: UInt64 = 0
        var joined: UInt64 = 0
    }

    private let state = Lock(State())
    private let timeSource: TimeSource

    /// Creates a single flight without operations.
    ///
    /// - Parameter clock: The clock of deadlines. Defaults to `ContinuousClock`.
    public init(clock: some Clock<Duration> = ContinuousClock()) { timeSource = TimeSource(clock) }

    /// The running operations and the counters at this moment.
    public var snapshot: SingleFlightSnapshot {
        let (runs, started, joined) = state.withLock { (Array($0.runs.values), $0.started, $0.joined) }
        return SingleFlightSnapshot(
            running: runs.count,
            waiting: runs.reduce(0) { $0 + $1.flight.waiting },
            started: started,
            joined: joined
        )
    }

    /// Runs the operation or joins the running operation of the key.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - operation: The work. Runs concurrently with the caller and can outlive the caller.
    /// - Returns: The value of the operation that this call started or joined.
    /// - Throws: `CancellationError` if the task is cancelled during the wait. ``SingleFlightError`` if the deadline
    ///   passes or the operation would wait for itself. Otherwise the error of the operation.
    nonisolated(nonsending) public func run(
        _ key: Key,
        _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        if Deadline.current?.isExpired == true { throw SingleFlightError(.deadline) }
        let (run, waiter, isNew) = admit(key)
        if isNew {
            run.flight.start { [self] in
                do { run.result = .success(try await operation()) } catch { run.result = .failure(error) }
                remove(key, run)
            }
        }
        let end = await run.flight.wait(waiter)
        if run.flight.isAbandoned { remove(key, run) }
        switch end {
        case .finished:
            if let result = run.result { return try result.get() }
            throw CancellationError()
        case .cancelled, .cutOff: throw CancellationError()
        case .deadline: throw SingleFlightError(.deadline)
        case .recursive: throw SingleFlightError(.recursive)
        }
    }

    /// Separates the running operation of a key from later calls.
    ///
    /// The next call starts a new operation. The calls that have joined still receive the result of the running
    /// operation. Call the method after a write, so that no later read receives a result from before the write.
    ///
    /// - Parameter key: The key.
    public func detach(_ key: Key) { _ = state.withLock { $0.runs.removeValue(forKey: key) } }

    /// Joins the flight of a key or creates a flight.
    private func admit(_ key: Key) -> (Run, FlightWaiter, isNew: Bool) {
        // The lock does not release the replaced operation, whose result is of the user's type.
        let (run, waiter, isNew, _) = state.withLock { state -> (Run, FlightWaiter, Bool, Run?) in
            let present = state.runs[key]
            if let present, let waiter = present.flight.join() {
                state.joined &+= 1
                return (present, waiter, false, nil)
            }
            let (flight, waiter) = Flight.joined(timeSource: timeSource)
            let run = Run(flight)
            state.runs[key] = run
            state.started &+= 1
            return (run, waiter, true, present)
        }
        return (run, waiter, isNew)
    }

    /// Removes an operation unless another operation has replaced it.
    private func remove(_ key: Key, _ run: Run) {
        _ = state.withLock { state in
            state.runs[key] === run ? state.runs.removeValue(forKey: key) : nil
        }
    }
}
