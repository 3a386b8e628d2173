import Synchronization

/// Seeded random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) { state = UInt64(truncatingIfNeeded: seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}

extension Duration {
    var inSeconds: Double { self / .seconds(1) }
    var inMilliseconds: Double { self / .milliseconds(1) }
    var inNanoseconds: Double { self / .nanoseconds(1) }
}

/// A number that concurrent calls increment.
final class Counter: Sendable {
    private let value = Atomic(0)

    var count: Int { value.load(ordering: .relaxed) }

    func add(_ number: Int) { value.add(number, ordering: .relaxed) }

    /// Adds 1 and returns the number before.
    @discardableResult func next() -> Int { value.add(1, ordering: .relaxed).oldValue }
}

/// A kind of call whose rate is measured.
struct Contender: Sendable {
    let name: String
    /// Makes calls until an instant and returns their number.
    let run: @Sendable (_ end: ContinuousClock.Instant) async throws -> Int

    /// Creates a contender from a body that makes calls until an instant.
    init(_ name: String, run: @escaping @Sendable (_ end: ContinuousClock.Instant) async throws -> Int) {
        self.name = name
        self.run = run
    }

    /// Creates a contender from a call that a number of tasks repeat.
    ///
    /// No two calls have the same number.
    init(_ name: String, tasks: Int, _ call: @escaping @Sendable (_ number: Int) async throws -> Void) {
        let numbers = Counter()
        self.init(name) { end in
            let first = numbers.count
            _ = try await time(tasks: tasks) { _ in
                while ContinuousClock.now < end { try await call(numbers.next()) }
            }
            return numbers.count - first
        }
    }
}

/// The calls a second of contenders that run alternately, each for 2 s in slices of 250 ms.
///
/// The speed of a disk may change by a factor of ten from one second to the next. Short slices give each contender the
/// same share of the slow seconds. The first slice of each contender is a warm-up.
func rates(_ contenders: [Contender]) async throws -> Stores.Figures {
    var calls: [String: Double] = [:]
    var seconds: [String: Double] = [:]
    for slice in 0...8 {
        for contender in contenders {
            let start = ContinuousClock.now
            let count = try await contender.run(start + .milliseconds(250))
            guard slice > 0 else { continue }
            calls[contender.name, default: 0] += Double(count)
            seconds[contender.name, default: 0] += (ContinuousClock.now - start).inSeconds
        }
    }
    return calls.merging(seconds) { $0 / $1 }
}

/// The time from the first to the last of the given bodies, each of which runs in a task.
func time(tasks: Int, _ body: @escaping @Sendable (_ task: Int) async throws -> Void) async throws -> Duration {
    let start = ContinuousClock.now
    try await withThrowingTaskGroup { group in
        for task in 0..<tasks { group.addTask { try await body(task) } }
        try await group.waitForAll()
    }
    return ContinuousClock.now - start
}

/// The times of calls.
struct Latencies: Sendable {
    private var times: [Duration] = []

    /// Measures a call.
    nonisolated(nonsending) mutating func measure(_ call: () async throws -> Void) async rethrows {
        let start = ContinuousClock.now
        try await call()
        times.append(ContinuousClock.now - start)
    }

    /// Records a time.
    mutating func append(_ time: Duration) { times.append(time) }

    /// Adds the times of other calls.
    mutating func append(_ other: Latencies) { times += other.times }

    /// The percentiles in milliseconds, named `p50`, `p99`, `p99.9` and `max` after a prefix.
    func figures(prefix: String = "") -> Stores.Figures {
        let sorted = times.sorted()
        guard let last = sorted.last else { return [:] }
        func percentile(_ part: Double) -> Double { sorted[Int(Double(sorted.count - 1) * part)].inMilliseconds }
        return [
            prefix + "p50": percentile(0.5),
            prefix + "p99": percentile(0.99),
            prefix + "p99.9": percentile(0.999),
            prefix + "max": last.inMilliseconds,
        ]
    }
}
