import ReliabilityCore

/// What follows the suite's name: `--name value`, and `--name` alone.
struct Options {
    private let arguments: [String]

    init(_ arguments: [String]) { self.arguments = arguments }

    func has(_ name: String) -> Bool { arguments.contains(name) }

    func text(_ name: String) -> String? {
        guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
        return arguments[index + 1]
    }

    func number(_ name: String) -> Int? { text(name).flatMap { Int($0) } }
}

/// Runs `body` over parts of `0..<count`, on as many threads, and returns what each made.
func inParallel<Part: Sendable>(
    _ count: Int,
    threads: Int = 2,
    _ body: @escaping @Sendable (Range<Int>) -> Part
) -> [Part] {
    let monitor = ThreadMonitor()
    let parts = Lock([Part?](repeating: nil, count: threads))
    for thread in 0..<threads {
        startThread {
            let part = body(count * thread / threads..<count * (thread + 1) / threads)
            monitor.lock()
            parts.withLock { $0[thread] = part }
            monitor.signal()
            monitor.unlock()
        }
    }
    monitor.lock()
    while parts.withLock({ $0.contains { $0 == nil } }) { monitor.wait(nanoseconds: nil) }
    monitor.unlock()
    return parts.withLock { $0.compactMap { $0 } }
}

/// How long it took, in seconds.
func seconds(since start: ContinuousClock.Instant) -> String {
    let tenths = start.duration(to: .now).components
    return "\(tenths.seconds).\(tenths.attoseconds / 100_000_000_000_000_000) s"
}
