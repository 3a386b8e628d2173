internal import Reliability

/// A storm of requests on a service that calls a gateway.
///
/// A time of calm is followed by ten times the load that the gateway bears, and by calm again.
package struct Storm: Sendable {
    /// The number of calls that the gateway serves at the same time.
    package let workers = 10
    /// The typical time of the gateway for a call, which varies by a fifth.
    package let service = Duration.milliseconds(100)
    /// The time after which a client has left.
    package let patience = Duration.seconds(1)
    /// The lengths of the calm before the storm, of the storm and of the calm afterwards, in seconds.
    package let seconds: (before: Int, storm: Int, after: Int)
    /// The load of the calm and of the storm, as multiples of the capacity.
    package let load = (calm: 0.5, storm: 10.0)
    /// The share of each priority, the lowest first.
    package let shares: [Double] = [0.5, 0.43, 0.05, 0.02]

    /// Creates a storm with up to 10 seconds of calm before and after the storm.
    ///
    /// - Parameter seconds: The length of the storm. Defaults to 60 seconds.
    package init(seconds: Int = 60) {
        let calm = min(10, seconds)
        self.seconds = (before: calm, storm: seconds, after: calm)
    }

    /// The number of calls that the gateway serves in a second.
    package var capacity: Double { Double(workers) / (service / .seconds(1)) }
    /// The length of the whole run in seconds.
    package var length: Int { seconds.before + seconds.storm + seconds.after }
    /// The seconds of the storm.
    package var duringStorm: Range<Int> { seconds.before..<seconds.before + seconds.storm }

    /// Runs the storm.
    ///
    /// - Parameters:
    ///   - isGuarded: `true` for a service with a bulkhead, a retry budget and a breaker. Otherwise the service only has
    ///     a time limit and retries.
    ///   - clock: The clock.
    ///   - generator: The source of the arrivals and of the durations.
    ///   - spawn: Starts a task.
    /// - Returns: The results when all requests have ended.
    /// - Throws: The error of the clock's sleep.
    package func run<C: Clock<Duration> & Sendable>(
        isGuarded: Bool,
        clock: C,
        generator: some RandomNumberGenerator,
        spawn: @escaping @Sendable (@escaping @Sendable () async -> Void) -> Void
    ) async throws -> StormReport {
        var generator = generator
        let gateway = StormGateway(workers: workers, clock: clock, spawn: spawn)
        let recorder = StormRecorder(self)
        let service = StormService(self, isGuarded: isGuarded, clock: clock)
        let start = clock.now
        var at = 0.0
        while at < Double(length) {
            let isStorm = duringStorm.contains(Int(at))
            // The gaps of a Poisson process, without a mathematics library.
            at += exponential(mean: 1 / (capacity * (isStorm ? load.storm : load.calm)), using: &generator)
            try await clock.sleep(until: start.advanced(by: .nanoseconds(Int64(at * 1e9))), tolerance: nil)
            let priority = priority(using: &generator)
            let duration = service.duration * Double.random(in: 0.8...1.2, using: &generator)
            let second = Int(at)
            recorder.begin()
            spawn {
                let begun = clock.now
                let result = await service.call(priority) { try await gateway.serve(for: duration) }
                recorder.end(result, priority, second, begun.duration(to: clock.now))
            }
        }
        while recorder.isOpen { try await clock.sleep(for: .milliseconds(100)) }
        return recorder.report
    }

    private func priority(using generator: inout some RandomNumberGenerator) -> CallPriority {
        var share = Double.random(in: 0..<1, using: &generator)
        for (priority, size) in zip(CallPriority.allCases, shares) {
            if share < size { return priority }
            share -= size
        }
        return .low
    }

    /// Returns a sample of an exponential distribution by von Neumann's method.
    private func exponential(mean: Double, using generator: inout some RandomNumberGenerator) -> Double {
        var whole = 0.0
        while true {
            let first = Double.random(in: 0..<1, using: &generator)
            var (last, count) = (first, 1)
            while true {
                let next = Double.random(in: 0..<1, using: &generator)
                if next >= last { break }
                (last, count) = (next, count + 1)
            }
            if count % 2 == 1 { return mean * (whole + first) }
            whole += 1
        }
    }
}
