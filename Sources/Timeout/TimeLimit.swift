internal import ReliabilityCore

/// A named limit for a kind of call, so that a code base has one answer to “how long may this take?”.
public struct TimeLimit: Hashable, Sendable {
    /// The limit.
    public let duration: Duration

    /// Creates a limit of your own.
    ///
    /// - Parameter duration: The limit.
    /// - Precondition: `duration` is positive.
    public init(_ duration: Duration) {
        requireValid(duration > .zero, "a time limit must be positive (is \(duration))")
        self.duration = duration
    }

    /// A query: 10 seconds.
    public static let database = TimeLimit(.seconds(10))
    /// A call to somebody else's service: 8 seconds.
    public static let externalAPI = TimeLimit(.seconds(8))
    /// All that one request does with a cache: 2 seconds.
    public static let cache = TimeLimit(.seconds(2))
    /// One command on a cache's connection: 3 seconds.
    public static let cacheCommand = TimeLimit(.seconds(3))
    /// An upload: 30 seconds.
    public static let fileUpload = TimeLimit(.seconds(30))
    /// Handing over one e-mail: 10 seconds.
    public static let email = TimeLimit(.seconds(10))
    /// Delivering one webhook: 15 seconds.
    public static let webhook = TimeLimit(.seconds(15))
}
