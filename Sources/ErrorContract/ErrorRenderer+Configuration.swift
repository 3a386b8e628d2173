public import ReliabilityCore

extension ErrorRenderer {
    /// The configuration of an ``ErrorRenderer``.
    public struct Configuration: Hashable, Sendable {
        /// The HTTP statuses of the application's own categories, and of categories with another status than the table
        /// at `ErrorCategory`.
        ///
        /// Every status is from 400 to 599. The status of the category `internal` is always 500.
        public var statuses: [ErrorCategory: Int]

        /// Creates a configuration.
        ///
        /// - Parameter statuses: The HTTP statuses of categories. Defaults to no additions to the table.
        public init(statuses: [ErrorCategory: Int] = [:]) { self.statuses = statuses }

        /// The statuses of the table at `ErrorCategory`.
        public static let standard = Self()

        /// Returns a configuration with the statuses of the table at `ErrorCategory` and with additions.
        ///
        /// - Parameter statuses: The HTTP statuses of categories.
        /// - Returns: The configuration.
        public static func statuses(_ statuses: [ErrorCategory: Int]) -> Self { Self(statuses: statuses) }

        /// Checks every status.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("error renderer")
            for (category, status) in statuses.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                problems.require(
                    category != .internal,
                    "the status of internal is always 500 and must not be set (is \(status))"
                )
                problems.require(
                    (400...599).contains(status),
                    "the status of \(category) must be from 400 to 599 (is \(status))"
                )
            }
            try problems.throwIfAny()
        }
    }
}
