public import ReliabilityCore

/// Limits the time of every call that runs through it, as ``withTimeout(_:clock:operation:)`` does.
///
/// ```swift
/// let limit = TimeoutPolicy(.seconds(2))
/// let page = try await limit.run { try await cache.page(id) }
/// ```
///
/// - Warning: The operation must not add tasks to a task group that was created outside of it. The
///   process ends when the group takes the result of such a child task after the operation has ended, on Linux with the text
///   `pthread_mutex_lock(&handle) failed with error 22`. See ``withTimeout(_:clock:operation:)``.
public struct TimeoutPolicy: CallPolicy {
    /// How long a call may take.
    public let limit: Duration
    private let timeSource: TimeSource
    private let events: EventSink<TimeoutEvent>

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - limit: How long a call may take.
    ///   - clock: Measures the time.
    ///   - observer: Is told of calls that took too long.
    /// - Precondition: `limit` is positive.
    public init(
        _ limit: Duration,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (TimeoutEvent) -> Void)? = nil
    ) {
        requireValid(limit > .zero, "a time limit must be positive (is \(limit))")
        self.limit = limit
        timeSource = TimeSource(clock)
        events = EventSink(observer)
    }

    /// Creates a policy with a named limit, such as `.database`.
    ///
    /// - Parameter limit: How long a call may take.
    public init(_ limit: TimeLimit) { self.init(limit.duration) }

    /// One layer, which limits the time of what is inside.
    public var layers: [PolicyLayer] { [PolicyLayer(.timeout, "cancels after \(limit.text)", limit: limit)] }

    /// Runs `operation` and cancels it when the limit is reached.
    ///
    /// - Parameter operation: The work; it keeps the caller's isolation.
    /// - Returns: What `operation` returns.
    /// - Throws: What `operation` throws, or ``TimeoutError``.
    @inlinable
    nonisolated(nonsending) public func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        var success: Success?
        try await perform { success = try await operation() }
        guard let success else { throw CancellationError() }
        return success
    }

    @usableFromInline
    nonisolated(nonsending) func perform(
        _ operation: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        let result = await Timeout.run(within: limit, timeSource, operation)
        if case .expired(let error) = result { events.emit(.expired(error)) }
        try result.get()
    }
}
