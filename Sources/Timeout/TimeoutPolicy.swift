public import ReliabilityCore

/// Limits the time of every call that runs through the policy.
///
/// ```swift
/// let limit = TimeoutPolicy(.seconds(2))
/// let page = try await limit.run { try await cache.page(id) }
/// ```
///
/// Each call has the contract of `withTimeout(_:clock:operation:)`.
///
/// - Warning: The operation must not add tasks to a task group from outside the operation. The process ends when the
///   group takes the result of such a child task after the operation has ended. On Linux, the process ends with the
///   text `pthread_mutex_lock(&handle) failed with error 22`. See `withTimeout(_:clock:operation:)`.
public struct TimeoutPolicy: CallPolicy {
    /// The time limit of a call.
    public let configuration: Configuration
    private let timeSource: TimeSource
    private let events: EventSink<TimeoutEvent>

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - configuration: The time limit of a call, such as `.seconds(2)` or `.database`.
    ///   - clock: The clock that measures the time. Defaults to `ContinuousClock`.
    ///   - observer: Receives an event for each call that exceeds its deadline.
    /// - Precondition: The configuration is valid. See ``Configuration/validate()``.
    public init(
        _ configuration: Configuration,
        clock: some Clock<Duration> = ContinuousClock(),
        observer: (@Sendable (TimeoutEvent) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        self.configuration = configuration
        timeSource = TimeSource(clock)
        events = EventSink(observer)
    }

    /// A single layer that limits the time of the layers inside.
    public var layers: [PolicyLayer] {
        [PolicyLayer(.timeout, "cancels after \(configuration.limit.text)", limit: configuration.limit)]
    }

    /// Runs the operation and cancels it when the limit elapses.
    ///
    /// - Parameter operation: The work, in the caller's isolation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error, or ``TimeoutError``.
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
        let result = await Timeout.run(within: configuration.limit, timeSource, operation)
        if case .expired(let error) = result { events.emit(.expired(error)) }
        try result.get()
    }
}
