/// The importance of a request under overload.
///
/// A bulkhead without room rejects calls of the lowest priority first. The priority of the current task applies to every
/// call of a request, also to calls of its dependencies. The levels correspond to the criticality levels of
/// "Site Reliability Engineering", chapter 21.
public enum CallPriority: Int, Hashable, Sendable, CaseIterable, Comparable, CustomStringConvertible {
    /// Work that nobody waits for and that can be made later, such as a report or a prefetch.
    case low
    /// Work whose loss a user notices but can repeat.
    case normal
    /// Work whose loss costs money or trust, such as the payment of an order.
    case high
    /// Work without which the service is of no use, such as a health check or an emergency.
    case critical

    /// The priority of the current task, which is ``normal`` unless ``withPriority(_:operation:)`` has set another.
    public static var current: CallPriority { ambient }

    @TaskLocal static var ambient = CallPriority.normal

    /// Creates a priority from a level, such as the value of a header.
    ///
    /// - Parameter level: The level, from 0 for ``low`` to 3 for ``critical``.
    /// - Throws: ``ConfigurationError`` for any other level.
    public init(level: Int) throws(ConfigurationError) {
        guard let priority = CallPriority(rawValue: level) else {
            throw ConfigurationError(part: "priority", problems: ["the level must be from 0 to 3 (is \(level))"])
        }
        self = priority
    }

    /// Returns whether the first priority is less important.
    public static func < (left: CallPriority, right: CallPriority) -> Bool { left.rawValue < right.rawValue }

    /// The name of the priority, such as `high`.
    public var description: String {
        switch self {
        case .low: "low"
        case .normal: "normal"
        case .high: "high"
        case .critical: "critical"
        }
    }
}

/// Runs an operation with a priority.
///
/// ``CallPriority/current`` returns the priority in the operation and in its child tasks.
///
/// - Parameters:
///   - priority: The priority.
///   - operation: The operation, which keeps the caller's isolation.
/// - Returns: The operation's value.
/// - Throws: The operation's error.
nonisolated(nonsending) public func withPriority<Success>(
    _ priority: CallPriority,
    operation: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await CallPriority.$ambient.withValue(priority, operation: operation)
}
