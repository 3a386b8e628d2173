public import ReliabilityCore

extension BulkheadPolicy {
    /// The configuration of a ``BulkheadPolicy``.
    ///
    /// The fields are plain values that can come from a file. ``validate()`` reports every problem.
    public struct Configuration: Hashable, Sendable {
        /// The number of calls that run at the same time.
        @nonexhaustive
        public enum Limit: Hashable, Sendable {
            /// A number that does not change by itself (at least 1).
            case fixed(Int)
            /// A number that follows the latency of the calls.
            case adaptive(AdaptiveLimit)
        }

        /// The order of the calls of the same priority and tenant in the queue.
        @nonexhaustive
        public enum Order: Hashable, Sendable {
            /// The oldest call first.
            case firstInFirstOut
            /// The oldest call first, and under overload the newest call first.
            ///
            /// A tenant is overloaded at a priority if calls of the tenant have waited at that priority without a pause
            /// for `interval`. The newest call then has the best chance to end in time. Older calls of the tenant that
            /// have waited longer than `target` are rejected, unless a call of a lower priority waits. See Nichols and Jacobson,
            /// "Controlling Queue Delay", 2012, and Maurer, "Fail at Scale", 2015.
            case adaptiveLIFO(target: Duration = .milliseconds(5), interval: Duration = .milliseconds(100))
        }

        /// The number of calls that run at the same time.
        public var limit: Limit
        /// The highest number of waiting calls, from 0 to 1,000,000.
        ///
        /// With 0, a call without a place is rejected immediately.
        public var maxWaiting: Int
        /// The longest wait of a call (positive).
        public var maxWait: Duration
        /// The order of the waiting calls.
        public var order: Order

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - limit: The number of calls that run at the same time.
        ///   - maxWaiting: The highest number of waiting calls. Defaults to 0.
        ///   - maxWait: The longest wait of a call. Defaults to 1 second.
        ///   - order: The order of the waiting calls. Defaults to the oldest call first.
        public init(
            _ limit: Limit,
            maxWaiting: Int = 0,
            maxWait: Duration = .seconds(1),
            order: Order = .firstInFirstOut
        ) {
            self.limit = limit
            self.maxWaiting = maxWaiting
            self.maxWait = maxWait
            self.order = order
        }

        /// A number of places with a queue.
        ///
        /// - Parameters:
        ///   - count: The number of calls that run at the same time.
        ///   - maxWaiting: The highest number of waiting calls. Defaults to 0.
        ///   - maxWait: The longest wait of a call. Defaults to 1 second.
        /// - Returns: The configuration.
        public static func limit(_ count: Int, maxWaiting: Int = 0, maxWait: Duration = .seconds(1)) -> Self {
            Self(.fixed(count), maxWaiting: maxWaiting, maxWait: maxWait)
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("bulkhead")
            switch limit {
            case .fixed(let count):
                problems.require(
                    (1...Self.maxCount).contains(count),
                    "limit must be from 1 to \(Self.maxCount) (is \(count))"
                )
            case .adaptive(let limit): problems.require("limit", limit.validate)
            }
            problems.require(
                (0...Self.maxCount).contains(maxWaiting),
                "maxWaiting must be from 0 to \(Self.maxCount) (is \(maxWaiting))"
            )
            problems.require(maxWait > .zero, "maxWait must be positive (is \(maxWait))")
            if case .adaptiveLIFO(let target, let interval) = order {
                problems.require(target > .zero, "target must be positive (is \(target))")
                problems.require(interval >= target, "interval must be at least target \(target) (is \(interval))")
            }
            try problems.throwIfAny()
        }

        static var maxCount: Int { 1_000_000 }
    }
}

extension BulkheadPolicy.Configuration {
    /// A short description of the values.
    var summary: String {
        let running =
            switch limit {
            case .fixed(let count): "at most \(count) at the same time"
            case .adaptive(let limit): "\(limit.min) to \(limit.max) at the same time, as the latency allows"
            }
        if maxWaiting == 0 { return running + ", nobody waits" }
        return running + ", \(maxWaiting) wait for up to \(maxWait.text)"
    }
}
