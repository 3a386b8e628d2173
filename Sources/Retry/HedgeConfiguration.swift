internal import ReliabilityCore

/// When another attempt is started beside one that is late, and how many.
public struct HedgeConfiguration: Hashable, Sendable {
    /// How late an answer must be.
    public let delay: HedgeDelay

    /// The most attempts besides the first.
    public let maxHedges: Int

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - delay: How late an answer must be; each further hedge waits as long again.
    ///   - maxHedges: The most attempts besides the first.
    /// - Precondition: `maxHedges` is from 1 to 10.
    public init(after delay: HedgeDelay, maxHedges: Int = 1) {
        requireValid((1...10).contains(maxHedges), "maxHedges must be from 1 to 10 (is \(maxHedges))")
        self.delay = delay
        self.maxHedges = maxHedges
    }
}
