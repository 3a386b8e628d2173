/// The most that one call can cost, whatever its dependency does.
public struct WorstCase: Hashable, Sendable {
    /// The longest that a call takes, if it heeds cancellation; nil when nothing limits it, or nobody knows.
    public let duration: Duration?

    /// The most times that the operation is run: how much more load a dependency gets when it is down.
    public let attempts: Int
}
