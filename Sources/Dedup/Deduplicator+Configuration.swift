public import ReliabilityCore
public import ReliabilityStore

extension Deduplicator {
    /// The answer to duplicates.
    @nonexhaustive
    public enum Mode: Hashable, Sendable {
        /// Duplicates receive the first result.
        ///
        /// The result is kept for the retention after the first call ended, or forever if the retention is `nil`. The
        /// retention must exceed the time for which any client retries. Webhooks need at least three days.
        case replay(retention: Duration?)

        /// Duplicates are rejected for the window after the first call ended.
        ///
        /// The mode suits repeated clicks, where no caller needs the first result.
        case reject(window: Duration = .seconds(60))
    }

    /// The configuration of a ``Deduplicator``.
    ///
    /// The fields are plain values that can come from a file. ``validate()`` reports every problem.
    ///
    /// ```swift
    /// let configuration = Deduplicator.Configuration(.replay(retention: .seconds(3 * 86_400)), durability: .powerLoss)
    /// try configuration.validate()
    /// let dedup = Deduplicator(configuration, keyspace: "charges", store: store, storeFailure: .failClosed())
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// The answer to a duplicate of a finished call, with a positive retention or window.
        public var mode: Mode

        /// The time after the last renewal of a claim at which another process can take over the claim (positive).
        ///
        /// The deduplicator renews the lease while the operation runs. A lease can therefore be shorter than the
        /// operation. A store with a single owner needs no renewal: a claim ends with its operation, or when the store
        /// is opened again after its process ended.
        public var lease: Duration

        /// The least durability that the store must have.
        public var durability: StoreCapabilities.Durability

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - mode: The answer to a duplicate of a finished call.
        ///   - lease: The time after the last renewal of a claim at which another process can take over the claim.
        ///     Defaults to 30 seconds.
        ///   - durability: The least durability that the store must have. Defaults to `none`: a store in memory is
        ///     enough.
        public init(
            _ mode: Mode,
            lease: Duration = .seconds(30),
            durability: StoreCapabilities.Durability = .none
        ) {
            self.mode = mode
            self.lease = lease
            self.durability = durability
        }

        /// Creates a configuration that gives the first result to duplicates.
        ///
        /// - Parameters:
        ///   - retention: The time for which the result is kept after the end of the first call, or `nil` for forever.
        ///   - durability: The least durability that the store must have. Defaults to `none`.
        /// - Returns: The configuration.
        public static func replay(
            retention: Duration?,
            durability: StoreCapabilities.Durability = .none
        ) -> Self {
            Self(.replay(retention: retention), durability: durability)
        }

        /// Creates a configuration that rejects duplicates.
        ///
        /// - Parameters:
        ///   - window: The time for which duplicates are rejected after the end of the first call. Defaults to 60
        ///     seconds.
        ///   - durability: The least durability that the store must have. Defaults to `none`.
        /// - Returns: The configuration.
        public static func reject(
            window: Duration = .seconds(60),
            durability: StoreCapabilities.Durability = .none
        ) -> Self {
            Self(.reject(window: window), durability: durability)
        }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem: a lease, a retention or a window that is not positive.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("deduplicator")
            problems.require(lease > .zero, "lease must be positive (is \(lease))")
            switch mode {
            case .replay(let retention?):
                problems.require(retention > .zero, "retention must be positive (is \(retention))")
            case .replay(nil): break
            case .reject(let window): problems.require(window > .zero, "window must be positive (is \(window))")
            }
            try problems.throwIfAny()
        }
    }
}
