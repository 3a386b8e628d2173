package import ReliabilityCore
package import ReliabilityTesting

/// A manual clock that calls a function at each reading.
package final class CallingClock: Clock {
    /// The manual clock.
    package let clock = ManualClock()
    /// The function.
    package let onRead = Lock<@Sendable () -> Void>({})

    /// Creates a clock.
    package init() {}

    package var now: ManualClock.Instant {
        onRead.withLock { $0 }()
        return clock.now
    }
    package var minimumResolution: Duration { clock.minimumResolution }

    package func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
        try await clock.sleep(until: deadline, tolerance: tolerance)
    }
}
