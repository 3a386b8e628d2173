public import ReliabilityCore

extension WebhookInbox {
    /// The configuration of a ``WebhookInbox``.
    public struct Configuration: Hashable, Sendable {
        /// The name of the source, such as `stripe` or `stripe-test` (1 to 64 bytes).
        ///
        /// Equal identities of two sources are two messages. Use another name for each route and for test and live
        /// mode.
        public var source: String
        /// The types to store, or `nil` for every type.
        ///
        /// The provider gets a success for other types, because the provider would repeat and finally disable the
        /// deliveries otherwise.
        public var types: Set<String>?
        /// The time for which a message is remembered after its first delivery.
        ///
        /// The time must not be shorter than the time for which the provider repeats deliveries.
        public var retention: Duration

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - source: The name of the source.
        ///   - types: The types to store, or `nil` for every type. Defaults to `nil`.
        ///   - retention: The time for which a message is remembered.
        public init(_ source: String, types: Set<String>? = nil, retention: Duration) {
            self.source = source
            self.types = types
            self.retention = retention
        }

        /// Checks every field for a verifier.
        ///
        /// - Parameter verifier: The configuration of the verifier.
        /// - Throws: `ConfigurationError` with every problem.
        public func validate(for verifier: WebhookVerifier.Configuration) throws(ConfigurationError) {
            var problems = ConfigurationProblems("webhook inbox")
            problems.require(
                (1...64).contains(source.utf8.count),
                "source must have 1 to 64 bytes (has \(source.utf8.count))"
            )
            if let types { problems.require(!types.isEmpty, "types must not be empty") }
            let least = Self.leastRetention(for: verifier)
            problems.require(
                retention >= least,
                "retention must be at least \(least), because \(verifier.scheme.name) repeats deliveries for up to "
                    + "\(verifier.scheme.redeliveryTime) (is \(retention))"
            )
            try problems.throwIfAny()
        }

        /// Returns the time for which a message can be delivered again.
        static func leastRetention(for verifier: WebhookVerifier.Configuration) -> Duration {
            // A message from the future stays acceptable for twice the tolerance.
            verifier.scheme.redeliveryTime + verifier.tolerance + verifier.tolerance
        }
    }
}
