public import ReliabilityCore

extension TimeoutPolicy {
    /// The configuration of a ``TimeoutPolicy``.
    ///
    /// ```swift
    /// let perAttempt = TimeoutPolicy(.seconds(2))
    /// let query = TimeoutPolicy(.database)
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// The positive time limit of a call.
        public var limit: Duration

        /// Creates a configuration.
        ///
        /// - Parameter limit: The time limit of a call.
        public init(limit: Duration) { self.limit = limit }

        /// Checks the limit.
        ///
        /// - Throws: `ConfigurationError` if the limit is not positive.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("timeout policy")
            problems.require(limit > .zero, "limit must be positive (is \(limit))")
            try problems.throwIfAny()
        }
    }
}

extension TimeoutPolicy.Configuration {
    /// A limit from a `Duration` value.
    public static func limit(_ limit: Duration) -> Self { Self(limit: limit) }
    /// A limit in seconds.
    public static func seconds(_ seconds: some BinaryInteger) -> Self { Self(limit: .seconds(seconds)) }
    /// A limit in seconds.
    public static func seconds(_ seconds: Double) -> Self { Self(limit: .seconds(seconds)) }
    /// A limit in milliseconds.
    public static func milliseconds(_ milliseconds: some BinaryInteger) -> Self {
        Self(limit: .milliseconds(milliseconds))
    }

    /// 10 seconds, for a database query.
    public static let database = Self(limit: .seconds(10))
    /// 8 seconds, for a call to a service of another organization.
    public static let externalAPI = Self(limit: .seconds(8))
    /// 2 seconds, for all uses of a cache in a request.
    public static let cache = Self(limit: .seconds(2))
    /// 30 seconds, for a file upload.
    public static let fileUpload = Self(limit: .seconds(30))
    /// 10 seconds, to send an email to the mail server.
    public static let email = Self(limit: .seconds(10))
    /// 15 seconds, to deliver a webhook.
    public static let webhook = Self(limit: .seconds(15))
}
