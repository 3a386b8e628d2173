internal import ReliabilityCore

/// Selects the calls that chaos changes and counts the selected calls.
struct ChaosDraw: Sendable {
    let rate: Double
    let count = ConcurrencyCounter()
    private let chaos: ChaosSwitch
    private let random: RandomSource

    init(rate: Double, chaos: ChaosSwitch, randomness: some RandomNumberGenerator & Sendable) {
        requireValid((0...1).contains(rate), "rate must be from 0 to 1 (is \(rate))")
        self.rate = rate
        self.chaos = chaos
        random = RandomSource(randomness)
    }

    var timeSource: TimeSource { chaos.timeSource }

    /// Decides whether chaos changes the next call.
    ///
    /// - Returns: The instant at which chaos ends, or `nil` if the call is not selected.
    func next() -> Int64? {
        guard let end = chaos.end else { return nil }
        // 53 bits, which a Double holds without rounding.
        let drawn = Double(random.next(upTo: (1 << 53) - 1)) / Double(1 << 53)
        guard drawn < rate else { return nil }
        count.increment()
        return end
    }

    func timeLeft(until end: Int64) -> Duration { .nanoseconds(end.saturatingSubtract(timeSource.now)) }

    func duration(in range: ClosedRange<Duration>) -> Duration {
        let lower = range.lowerBound.saturatingNanoseconds
        return .nanoseconds(lower + random.next(upTo: range.upperBound.saturatingNanoseconds - lower))
    }
}
