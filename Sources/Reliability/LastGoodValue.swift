internal import ReliabilityCore

/// The last value that a call returned, to be used again when the call fails.
///
/// ```swift
/// let lastRates = LastGoodValue<[Rate]>(maximumAge: .seconds(600))
/// let rates = try await pipeline.run(or: .stale(lastRates)) { try await bank.rates() }
/// ```
///
/// The call that it stands in for keeps it up to date: ``Fallback`` remembers each value that the call returns.
/// It holds one value. Use one for each thing that is asked for: one that is shared by two customers shows each of them
/// what the other one got.
public final class LastGoodValue<Value: Sendable>: Sendable {
    /// How old a value may be.
    public let maximumAge: Duration
    let timeSource: TimeSource
    private let lock = Lock<(value: Value, asOf: Int64)?>(nil)

    /// Creates an empty holder.
    ///
    /// - Parameters:
    ///   - maximumAge: How old a value may be; one exactly this old is no longer used.
    ///   - clock: Measures the age.
    /// - Precondition: `maximumAge` is positive.
    public init(maximumAge: Duration, clock: some Clock<Duration> = ContinuousClock()) {
        requireValid(maximumAge > .zero, "a stale value's maximumAge must be positive (is \(maximumAge))")
        self.maximumAge = maximumAge
        timeSource = TimeSource(clock)
    }

    /// The value, unless there is none or it is too old.
    ///
    /// Asking changes nothing.
    public var value: Value? {
        let now = timeSource.now
        return lock.withLock { remembered in
            guard let remembered else { return nil }
            let age = now.saturatingSubtract(remembered.asOf)
            return age < maximumAge.saturatingNanoseconds ? remembered.value : nil
        }
    }

    /// Keeps a value that is as new as this moment.
    ///
    /// - Parameter value: The value.
    public func remember(_ value: Value) { remember(value, asOf: timeSource.now) }

    /// Forgets the value.
    public func forget() {
        let old = lock.withLock { remembered -> Value? in
            defer { remembered = nil }
            return remembered?.value
        }
        // Released after the unlock: freeing a value is not our code.
        withExtendedLifetime(old) {}
    }

    /// Keeps a value, unless a newer one is there.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - asOf: When the call that returned it began: it may show how things were then.
    func remember(_ value: Value, asOf: Int64) {
        let old = lock.withLock { remembered -> Value? in
            if let newer = remembered, newer.asOf > asOf { return nil }
            defer { remembered = (value, asOf) }
            return remembered?.value
        }
        withExtendedLifetime(old) {}
    }
}
