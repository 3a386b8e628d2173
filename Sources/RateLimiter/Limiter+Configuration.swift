public import ReliabilityCore
internal import ReliabilityStore

extension Limiter {
    /// The limit of a ``Limiter``: a number of calls in a period for each key.
    ///
    /// The fields are plain values that can come from a file. ``validate()`` reports every problem.
    ///
    /// ```swift
    /// let configuration = Limiter.Configuration(.gcra, count: 600, period: .seconds(60), burst: 20)
    /// try configuration.validate()
    /// let api = Limiter(configuration, keyspace: "api", store: store, storeFailure: .failOpen())
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// The algorithm that counts calls.
        @nonexhaustive
        public enum Algorithm: Hashable, Sendable {
            /// The generic cell rate algorithm (ITU-T I.371), which spreads calls evenly.
            case gcra
            /// A counter for each window, which opens with the first call after the last window ended.
            case fixedWindow
        }

        /// The algorithm that counts calls.
        public var algorithm: Algorithm

        /// The number of calls in a period (at least 1).
        public var count: Int

        /// The time in which ``count`` calls are allowed, or the length of a window (positive).
        ///
        /// For ``Algorithm/gcra``, at least a nanosecond for each call.
        public var period: Duration

        /// The most calls that ``Algorithm/gcra`` allows at the same time, or `nil` for ``count`` (at least 1).
        ///
        /// A whole burst must be available again within 100 years. ``Algorithm/fixedWindow`` has no burst, so the
        /// value must be `nil`.
        public var burst: Int?

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - algorithm: The algorithm that counts calls.
        ///   - count: The number of calls in a period (at least 1).
        ///   - period: The period (positive).
        ///   - burst: The most calls at the same time, or `nil` for `count`. Defaults to `nil`.
        public init(_ algorithm: Algorithm, count: Int, period: Duration, burst: Int? = nil) {
            self.algorithm = algorithm
            self.count = count
            self.period = period
            self.burst = burst
        }

        /// Creates a limit that spreads calls evenly, with the generic cell rate algorithm (ITU-T I.371).
        ///
        /// A burst of `burst` calls is allowed immediately. A further call is allowed after each interval of `period /
        /// count`, rounded up to a whole nanosecond. In any interval of length t, at most `burst + t · count / period`
        /// calls are allowed.
        ///
        /// - Parameters:
        ///   - count: The number of calls in a period (at least 1).
        ///   - period: The period (at least a nanosecond for each call).
        ///   - burst: The most calls at the same time, or `nil` for `count` (at least 1). A whole burst must be
        ///     available again within 100 years. Defaults to `nil`.
        /// - Returns: The configuration.
        public static func gcra(_ count: Int, per period: Duration, burst: Int? = nil) -> Self {
            Self(.gcra, count: count, period: period, burst: burst)
        }

        /// Creates a limit that counts calls in windows.
        ///
        /// A window opens with the first call after the last window ended. At most `count` calls are allowed in a
        /// window. An interval of the length of a window can span the edge of two windows, and then allows up to twice
        /// `count` calls.
        ///
        /// - Parameters:
        ///   - count: The number of calls in a window (at least 1).
        ///   - period: The length of a window (positive).
        /// - Returns: The configuration.
        public static func fixedWindow(_ count: Int, per period: Duration) -> Self {
            Self(.fixedWindow, count: count, period: period)
        }

        /// The limit for logins: five calls in a window of 15 minutes.
        public static let login = fixedWindow(5, per: .seconds(15 * 60))

        /// The most calls that can be allowed at the same time: the burst, or the count of a window.
        public var capacity: Int {
            switch algorithm {
            case .gcra: burst ?? count
            case .fixedWindow: count
            }
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) { try validate(as: "limiter") }

        func validate(as part: String) throws(ConfigurationError) {
            var problems = ConfigurationProblems(part)
            problems.require(count >= 1, "count must be at least 1 (is \(count))")
            switch algorithm {
            case .gcra:
                problems.require(capacity >= 1, "burst must be at least 1 (is \(capacity))")
                problems.require(
                    period.saturatingNanoseconds >= max(1, Int64(count)),
                    "period must be positive and at least a nanosecond for each of the \(count) calls (is \(period))"
                )
                problems.require(
                    interval.saturatingMultiply(Int64(max(1, capacity))) <= 36_525 * 86_400_000_000_000,
                    "burst must be available again within 100 years (is \(capacity) at \(count) per \(period))"
                )
            case .fixedWindow:
                problems.require(burst == nil, "a fixed window has no burst (is \(burst ?? 0))")
                problems.require(period > .zero, "period must be positive (is \(period))")
            }
            try problems.throwIfAny()
        }
    }
}

extension Limiter.Configuration {
    /// The time in nanoseconds between two calls at the configured rate.
    private var interval: Int64 {
        // Rounded up, so that the rate is never higher than configured.
        (max(1, period.saturatingNanoseconds) - 1) / Int64(max(1, count)) + 1
    }

    func update(cost: Int) -> AtomicUpdate {
        switch algorithm {
        case .gcra: .gcra(interval: .nanoseconds(interval), burst: capacity, cost: cost)
        case .fixedWindow: .fixedWindow(length: period, limit: capacity, cost: cost)
        }
    }

    /// The limit as a phrase for the layer of a policy.
    var summary: String {
        switch algorithm {
        case .gcra: "one call each \(Duration.nanoseconds(interval).text), bursts of \(capacity)"
        case .fixedWindow: "\(capacity) calls in \(period.text)"
        }
    }
}
