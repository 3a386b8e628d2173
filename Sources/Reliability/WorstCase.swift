/// The highest cost of a call for any behavior of the dependency.
public struct WorstCase: Hashable, Sendable {
    /// The longest time of a call whose operation responds to cancellation.
    ///
    /// `nil` if nothing limits the time or a policy does not state its waits.
    public let duration: Duration?

    /// The highest number of attempts of a call.
    ///
    /// The load on a dependency that is down grows by this factor.
    public let attempts: Int
}
