internal import ReliabilityCore

/// The last value of a call, for use after a failure of the call.
///
/// ```swift
/// let call = ExternalCall("bank", .externalAPI(.idempotent)), lastRates = LastGoodValue<[Int]>(maxAge: .seconds(600))
/// let rates = try await call.run(or: .stale(lastRates)) { try await bank.rates() }
/// ```
///
/// A ``Fallback`` stores each value that the call returns. A holder has a single value. Use a separate holder for each
/// request, because customers that share a holder see each other's values.
public final class LastGoodValue<Value: Sendable>: Sendable {
    /// The age at which a value is no longer used.
    public let maxAge: Duration
    let timeSource: TimeSource
    private let lock = Lock<(value: Value, asOf: Int64)?>(nil)

    /// Creates an empty holder.
    ///
    /// - Parameters:
    ///   - maxAge: The age at which a value is no longer used.
    ///   - clock: The clock that measures the age. Defaults to `ContinuousClock`.
    /// - Precondition: `maxAge` is positive.
    public init(maxAge: Duration, clock: some Clock<Duration> = ContinuousClock()) {
        requireValid(maxAge > .zero, "a stale value's maxAge must be positive (is \(maxAge))")
        self.maxAge = maxAge
        timeSource = TimeSource(clock)
    }

    /// The value, or `nil` if the holder is empty or the value is too old.
    public var value: Value? {
        let now = timeSource.now
        return lock.withLock { remembered in
            guard let remembered else { return nil }
            let age = now.saturatingSubtract(remembered.asOf)
            return age < maxAge.saturatingNanoseconds ? remembered.value : nil
        }
    }

    /// Stores a value with the present time as its time.
    ///
    /// - Parameter value: The value.
    public func remember(_ value: Value) { remember(value, asOf: timeSource.now) }

    /// Removes the value.
    public func forget() {
        let old = lock.withLock { remembered -> Value? in
            defer { remembered = nil }
            return remembered?.value
        }
        // Released after the unlock, because the deinitializer of a value is code of the application.
        withExtendedLifetime(old) {}
    }

    /// Stores a value unless the holder has a newer value.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - asOf: The beginning of the call that returned the value. The value can be as old as that.
    func remember(_ value: Value, asOf: Int64) {
        let old = lock.withLock { remembered -> Value? in
            if let newer = remembered, newer.asOf > asOf { return nil }
            defer { remembered = (value, asOf) }
            return remembered?.value
        }
        withExtendedLifetime(old) {}
    }
}
