import CheckSupport
import Foundation
import ReliabilityStore
import ReliabilityStoreTesting
import ReliabilityTesting
import StoreSimulation
import Synchronization

/// Checks an `InMemoryStore` with the conformance suite, with a full store and with clients on all processors.
///
/// `--count` is the number of runs of each client. `--clients` runs the clients only.
func memorySuite(_ options: Options) -> SuiteResult {
    let count = options["count"] ?? 20_000
    let isDone = DispatchSemaphore(value: 0)
    let state = MemoryFailures()
    Task.detached {
        if options["clients"] == 1 {
            await pairs(count, state)
        } else {
            await conformance(state)
            await fullStore(state)
            await fullOfExpired(state)
            await rejectedWrites(state)
        }
        isDone.signal()
    }
    // Threads that wait for each other would block the suite forever.
    if isDone.wait(timeout: .now() + 60) == .timedOut { state.add("a call is never answered") }
    // Linux ends a process with threads that wait for each other, so the clients have their own process.
    if options["clients"] != 1 { for failure in clientsOfAnotherProcess(count) { state.add(failure) } }
    let failures = state.all
    let command = "\n  swift run -c release StoreCheck memory --count \(count)"
    return SuiteResult(
        summary: "\(StoreConformance.checks.count) checks and \(4 * count) calls of clients",
        failures: failures.prefix(10).map { $0 + command }
    )
}

/// Runs the clients in another process, and returns the failures.
private func clientsOfAnotherProcess(_ count: Int) -> [String] {
    let process = Process()
    let output = Pipe()
    process.executableURL = Bundle.main.executableURL
    process.arguments = ["memory", "--count", "\(count)", "--clients"]
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { return ["the clients cannot be started: \(error)"] }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    if process.terminationReason == .uncaughtSignal {
        return ["the clients ended with signal \(process.terminationStatus): threads wait for each other"]
    }
    return process.terminationStatus == 0 ? [] : [text]
}

private final class MemoryFailures: Sendable {
    private let failures = Mutex<[String]>([])
    var all: [String] { failures.withLock { $0 } }
    func add(_ failure: String) { failures.withLock { $0.append(failure) } }
}

private func conformance(_ failures: MemoryFailures) async {
    let conformance = StoreConformance { clock in InMemoryStore(clock: clock) }
    for violation in await conformance.run(conformance.applicableChecks) { failures.add("\(violation)") }
    for configuration in [InMemoryStore.Configuration(maxEntries: 100), .init(maxBytes: 10_000)] {
        let small = StoreConformance { clock in InMemoryStore(configuration, clock: clock) }
        for check in ["limits.capacity", "records.capacity"] {
            do { try await small.run(check) } catch { failures.add("\(error)") }
        }
    }
}

/// Fills a store in several ways, empties the store and checks that exactly the same number of entries fits again.
private func fullStore(_ failures: MemoryFailures) async {
    let clock = ManualClock()
    let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 60, maxBytes: 9000), clock: clock)
    var random = SplitMix(7)
    let mix = OperationMix(keys: 40, queues: 2, ids: 10, longestValue: 600, invalidPercentage: 0)
    for round in 0..<200 {
        for _ in 0..<30 {
            let operation = mix.next(ModelStore(), using: &random)
            if operation.endsSoon { _ = await perform(operation, on: store) }
            clock.advance(by: .milliseconds(Int.random(in: 0...2, using: &random)))
        }
        for queue in mix.queues {
            let claims = try? await store.claim(queue, limit: 100, lease: .seconds(1))
            if let claims, !claims.isEmpty { _ = try? await store.settle(claims.map { .init($0, .done) }) }
        }
        if round % 10 < 9 { continue }
        // Nothing is left after a deletion of all entries and the end of all waits.
        for key in mix.keys { _ = try? await store.commit([.delete(key, if: .any)]) }
        clock.advance(by: .seconds(7200))
        for queue in mix.queues {
            while let claims = try? await store.claim(queue, limit: 100, lease: .seconds(1)), !claims.isEmpty {
                _ = try? await store.settle(claims.map { .init($0, .done) })
            }
        }
        let usage = store.usage
        if usage.entries + usage.records + usage.bytes > 0 { return failures.add("an empty store has \(usage)") }
        var accepted = 0
        for number in 0..<70 {
            let write = StoreWrite.put(StoreKey("full", "\(number)"), [1], .after(.seconds(1)), if: .absent)
            if (try? await store.commit([write])) != nil { accepted += 1 }
        }
        if accepted != 60 { return failures.add("an empty store for 60 entries accepted \(accepted)") }
        clock.advance(by: .seconds(2))
    }
}

/// Fills a store with entries that expire, and checks that a large value takes the room of all of them.
private func fullOfExpired(_ failures: MemoryFailures) async {
    let clock = ManualClock()
    let store = InMemoryStore(InMemoryStore.Configuration(maxBytes: 100_000), clock: clock)
    for number in 0..<1000 {
        _ = try? await store.commit([.put(StoreKey("full", "\(number)"), [], .after(.seconds(1)), if: .any)])
    }
    clock.advance(by: .seconds(2))
    let value = [UInt8](repeating: 1, count: 99_000)
    if (try? await store.commit([.put(StoreKey("large"), value, .never, if: .any)])) == nil {
        failures.add("a store full of expired entries has no room for a value")
    }
}

/// Rejects writes for their bytes, and checks that they take no room from entries.
private func rejectedWrites(_ failures: MemoryFailures) async {
    let store = InMemoryStore(InMemoryStore.Configuration(maxEntries: 10, maxBytes: 2000))
    for number in 0..<20 {
        let value = [UInt8](repeating: 1, count: 2000)
        if (try? await store.commit([.put(StoreKey("large", "\(number)"), value, .never, if: .any)])) != nil {
            failures.add("a store for 2000 bytes accepted a value of 2000")
        }
    }
    for number in 0..<10 {
        if (try? await store.commit([.put(StoreKey("small", "\(number)"), [], .never, if: .any)])) == nil {
            return failures.add("an empty store for 10 entries accepted \(number) after it rejected other writes")
        }
    }
}

/// Writes two keys in one step from several tasks, while other tasks read both.
private func pairs(_ count: Int, _ failures: MemoryFailures) async {
    let store = InMemoryStore()
    let keys = (0..<8).map { StoreKey("pair", "\($0)") }
    await withTaskGroup { group in
        for task in 0..<4 {
            group.addTask {
                for number in 0..<count {
                    let first = number % 7
                    if task % 2 == 0 {
                        let value = [UInt8(task), UInt8(truncatingIfNeeded: number)]
                        let writes = keys.map { StoreWrite.put($0, value, .never, if: .any) }
                        _ = try? await store.commit(number % 2 == 0 ? writes : writes.reversed())
                    } else if let entries = try? await store.get([keys[first], keys[first + 1]]) {
                        if entries[0]?.value == entries[1]?.value { continue }
                        return failures.add("a read shows a part of a commit")
                    }
                }
            }
        }
    }
}

extension WorkloadOperation {
    /// A Boolean value that indicates whether the operation makes no record wait for longer than an hour.
    fileprivate var endsSoon: Bool {
        switch self {
        case .claim: false
        case .enqueue(let records), .commit(_, let records): records.allSatisfy { $0.delay <= .seconds(3600) }
        default: true
        }
    }
}
