public import ReliabilityCore
public import ReliabilityStore

extension OutboxQueue {
    /// The configuration of an ``OutboxQueue``.
    ///
    /// A literal is the name of a queue:
    ///
    /// ```swift
    /// let orders = OutboxQueue("orders", store: store, storeFailure: .failClosed())
    /// ```
    public struct Configuration: Hashable, Sendable, ExpressibleByStringLiteral {
        /// The queue's name (1 to 64 bytes).
        public var name: QueueName

        /// The least durability that the store must have.
        public var durability: StoreCapabilities.Durability

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - name: The queue's name (1 to 64 bytes).
        ///   - durability: The least durability that the store must have. Defaults to `none`, which a store in memory
        ///     meets.
        public init(_ name: QueueName, durability: StoreCapabilities.Durability = .none) {
            self.name = name
            self.durability = durability
        }

        /// Creates a configuration from a literal, which is the queue's name.
        public init(stringLiteral value: String) { self.init(QueueName(value)) }

        /// Checks every field.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("outbox")
            let count = name.description.utf8.count
            problems.require(
                (1...64).contains(count),
                "the name of a queue must have from 1 to 64 bytes (has \(count): \"\(name)\")"
            )
            try problems.throwIfAny()
        }
    }
}
