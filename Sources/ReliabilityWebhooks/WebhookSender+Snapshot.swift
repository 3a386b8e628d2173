extension WebhookSender {
    /// The state of the endpoints that a sender calls or that have failed.
    public struct Snapshot: Hashable, Sendable {
        /// The state of an endpoint in this process.
        public struct Endpoint: Hashable, Sendable {
            /// The identity of the endpoint.
            public let id: String
            /// The number of attempts that have not ended.
            public let running: Int
            /// The number of failures since the last success.
            public let failures: Int
            /// The time until the next probe, or `nil` if the endpoint is not in quarantine.
            public let probeAfter: Duration?
        }

        /// The endpoints in the order of their identities.
        public let endpoints: [Endpoint]
    }
}
