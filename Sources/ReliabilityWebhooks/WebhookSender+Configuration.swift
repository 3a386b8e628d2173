public import ReliabilityCore

extension WebhookSender {
    /// The configuration of a ``WebhookSender``.
    public struct Configuration: Hashable, Sendable {
        /// The waits after the failed attempts of a message (1 to 64).
        ///
        /// The last attempt follows the last wait. Each wait is lengthened or shortened by up to a fifth at random.
        public var schedule: [Duration]
        /// The positive time after which an attempt is abandoned.
        public var timeLimit: Duration
        /// The largest number of attempts at the same time (at least 1).
        public var concurrency: Int
        /// The largest number of attempts at the same time for an endpoint (1 to 1,000).
        public var permitsPerEndpoint: Int
        /// The number of failures in a row after which an endpoint is in quarantine (at least 1).
        public var failuresBeforeQuarantine: Int
        /// The positive time between the probes of an endpoint in quarantine.
        public var probeInterval: Duration
        /// The positive time of only failures after which an endpoint is disabled, or `nil` for no limit.
        public var disableAfter: Duration?
        /// The statuses that disable an endpoint immediately.
        public var disablingStatuses: Set<Int>
        /// The rule for URLs and addresses.
        public var addresses: WebhookAddressPolicy
        /// The number of attempts for each endpoint in the delivery log (0 to 10,000).
        public var logCapacity: Int
        /// The positive age after which an attempt leaves the delivery log.
        public var logAge: Duration
        /// A Boolean value that indicates whether the delivery log holds the first 512 bytes of responses.
        ///
        /// The owner of an endpoint chooses the bytes.
        public var logsResponses: Bool
        /// The positive time for which delivered messages are kept for a replay, or `nil` to keep none.
        ///
        /// Kept messages need a write to the store at each delivery, and count against the limits of the store.
        public var replayRetention: Duration?

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - schedule: The waits after the failed attempts. Defaults to the list of Standard Webhooks: 5 seconds, 5
        ///     and 30 minutes, and 2, 5, 10, 14, 20 and 24 hours.
        ///   - timeLimit: The time after which an attempt is abandoned. Defaults to 20 seconds.
        ///   - concurrency: The largest number of attempts at the same time. Defaults to 32.
        ///   - permitsPerEndpoint: The largest number of attempts at the same time for an endpoint. Defaults to 2.
        ///   - failuresBeforeQuarantine: The number of failures in a row before a quarantine. Defaults to 5.
        ///   - probeInterval: The time between two probes. Defaults to 5 minutes.
        ///   - disableAfter: The time of only failures after which an endpoint is disabled. Defaults to 5 days.
        ///   - disablingStatuses: The statuses that disable an endpoint. Defaults to 410.
        ///   - addresses: The rule for URLs and addresses. Defaults to `https`, port 443 and addresses on the internet.
        ///   - logCapacity: The number of attempts for each endpoint in the delivery log. Defaults to 50.
        ///   - logAge: The age after which an attempt leaves the delivery log. Defaults to 3 days.
        ///   - logsResponses: A Boolean value that indicates whether the log holds responses. Defaults to `false`.
        ///   - replayRetention: The time for which delivered messages are kept for a replay. Defaults to `nil`.
        public init(
            schedule: [Duration] = standardSchedule,
            timeLimit: Duration = .seconds(20),
            concurrency: Int = 32,
            permitsPerEndpoint: Int = 2,
            failuresBeforeQuarantine: Int = 5,
            probeInterval: Duration = .seconds(300),
            disableAfter: Duration? = .seconds(5 * 86_400),
            disablingStatuses: Set<Int> = [410],
            addresses: WebhookAddressPolicy = WebhookAddressPolicy(),
            logCapacity: Int = 50,
            logAge: Duration = .seconds(3 * 86_400),
            logsResponses: Bool = false,
            replayRetention: Duration? = nil
        ) {
            self.schedule = schedule
            self.timeLimit = timeLimit
            self.concurrency = concurrency
            self.permitsPerEndpoint = permitsPerEndpoint
            self.failuresBeforeQuarantine = failuresBeforeQuarantine
            self.probeInterval = probeInterval
            self.disableAfter = disableAfter
            self.disablingStatuses = disablingStatuses
            self.addresses = addresses
            self.logCapacity = logCapacity
            self.logAge = logAge
            self.logsResponses = logsResponses
            self.replayRetention = replayRetention
        }

        /// The waits of Standard Webhooks 1.0.0, which add up to 75 hours, 35 minutes and 5 seconds.
        public static let standardSchedule: [Duration] = [
            5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
        ].map { .seconds($0) }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("webhook sender")
            problems.require(
                (1...64).contains(schedule.count),
                "schedule must have from 1 to 64 waits (has \(schedule.count))"
            )
            for wait in schedule {
                problems.require(
                    wait >= .zero && wait <= .seconds(365 * 86_400),
                    "a wait must be from zero to 365 days (is \(wait))"
                )
            }
            let times: [(String, Duration?)] = [
                ("timeLimit", timeLimit), ("probeInterval", probeInterval), ("disableAfter", disableAfter),
                ("logAge", logAge), ("replayRetention", replayRetention),
            ]
            for (name, time) in times {
                if let time { problems.require(time > .zero, "\(name) must be positive (is \(time))") }
            }
            problems.require(concurrency >= 1, "concurrency must be at least 1 (is \(concurrency))")
            problems.require(
                (1...1000).contains(permitsPerEndpoint),
                "permitsPerEndpoint must be from 1 to 1000 (is \(permitsPerEndpoint))"
            )
            problems.require(
                failuresBeforeQuarantine >= 1,
                "failuresBeforeQuarantine must be at least 1 (is \(failuresBeforeQuarantine))"
            )
            problems.require(
                (0...10_000).contains(logCapacity),
                "logCapacity must be from 0 to 10000 (is \(logCapacity))"
            )
            problems.require(!addresses.ports.isEmpty, "ports must not be empty")
            problems.require(!addresses.addressKinds.isEmpty, "addressKinds must not be empty")
            try problems.throwIfAny()
        }
    }
}
