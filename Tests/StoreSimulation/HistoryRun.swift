internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// A file store with its thread, used by several tasks at once, and what they saw.
///
/// What the clients ask for follows from the seed; how their calls meet does not.
package struct HistoryRun: Sendable {
    package struct Outcome: Sendable {
        package var calls: [HistoryCall] = []
        /// What went wrong before any order was looked for.
        package var problems: [String] = []
    }

    /// When every run begins, in nanoseconds since 1970.
    package static let start: Int64 = 1_780_000_000_000_000_000

    private let seed: UInt64
    private let clients: Int
    private let operations: Int

    /// A run with 3 to 8 clients of 10 to 50 operations each, as the seed says.
    package init(seed: UInt64) {
        self.seed = seed
        var random = SplitMix(seed)
        clients = .random(in: 3...8, using: &random)
        operations = .random(in: 10...50, using: &random)
    }

    /// What the calls of all clients have in common.
    private final class Notebook: Sendable {
        private let calls = Lock<(stamp: Int, calls: [HistoryCall])>((0, []))

        var stamp: Int {
            calls.withLock {
                $0.stamp += 1
                return $0.stamp
            }
        }

        func add(_ call: HistoryCall) { calls.withLock { $0.calls.append(call) } }

        var all: [HistoryCall] { calls.withLock { $0.calls } }
    }

    /// Lets the clients work, phase after phase, and opens the store anew in between when it failed or is closed.
    package func run() async -> Outcome {
        var random = SplitMix(seed &+ 1)
        var outcome = Outcome()
        let notebook = Notebook()
        let phases = Int.random(in: 2...4, using: &random)
        var disk = SimulatedFileSystem(seed: seed)
        var now = Self.start
        var phase = 0
        var opening = 0
        while phase < phases {
            let clock = HandClock()
            let store: FileStore
            do throws(StoreError) {
                store = try FileStore(
                    at: "store",
                    clock: clock,
                    fileSystem: disk,
                    unixTime: now,
                    tuning: LogTuning(growth: 4096, batchLimit: 2048, compactionMinimum: 16 << 10)
                )
            } catch {
                outcome.problems.append("opening \(opening) threw \(error)")
                break
            }
            let first = store.capabilities.openedAt?.rawValue ?? 0
            if opening > 0 {
                note(.reopening(nextVersion: first), .counts(RecordCounts(pending: 0, dead: 0)), now, notebook)
            }
            // Before the first call, while the store's thread has nothing to do.
            disk.fault = fault(disk.callCount, using: &random)
            let openedAt = notebook.stamp
            repeat {
                let base = UInt64(phase) << 32
                await withTaskGroup { group in
                    for client in 0..<clients {
                        let clientSeed = seed &* 0x1_0001 &+ base &+ UInt64(client)
                        group.addTask { [now] in
                            await work(
                                client,
                                SplitMix(clientSeed),
                                count: operations / phases + 1,
                                store,
                                now,
                                notebook
                            )
                        }
                    }
                }
                phase += 1
                let step = Int64.random(in: 1...5, using: &random)
                clock.advance(by: .milliseconds(step))
                now += step * 1_000_000
            } while phase < phases && Bool.random(using: &random)
            await store.close()
            outcome.problems += Self.problems(notebook.all.filter { $0.invoked > openedAt }, disk)
            if disk.openCount > 0 {
                outcome.problems.append("\(disk.openCount) files are open after the store was closed")
            }
            if let misuse = disk.misuse { outcome.problems.append(misuse) }
            // The process ends, or the machine does.
            let choices: [CrashChoice] = [.kill, .nothing, .everything, .random(seed)]
            let choice = choices[Int.random(in: 0..<choices.count, using: &random)]
            disk = disk.restarted(with: disk.disk.crashed(choice))
            opening += 1
        }
        outcome.calls = notebook.all
        return outcome
    }

    private func note(_ action: HistoryCall.Action, _ answer: StoreAnswer, _ now: Int64, _ notebook: Notebook) {
        let stamp = notebook.stamp
        notebook.add(HistoryCall(client: -1, action, now: now, invoked: stamp, responded: notebook.stamp, answer))
    }

    /// In every other run the disk fails once, or is full for some time.
    private func fault(_ calls: Int, using random: inout SplitMix) -> SimulatedFileSystem.Fault? {
        let call = calls + .random(in: 1...60, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1:
            return .init(.error, atCall: call, isForEver: Bool.random(using: &random), cacheKeepsContent: false)
        case 2: return .init(.error, atCall: call)
        case 3: return .init(.noSpace(writesHalf: Bool.random(using: &random)), atCall: call)
        default: return nil
        }
    }

    /// What a store must not do, whatever the order of the calls.
    private static func problems(_ calls: [HistoryCall], _ disk: SimulatedFileSystem) -> [String] {
        var problems: [String] = []
        let reasons = calls.map { call -> StoreError.Reason? in
            if case .refused(let reason) = call.answer { reason } else { nil }
        }
        var failedAt = Int.max
        for (call, reason) in zip(calls, reasons) where reason == .failed || reason == .unknownOutcome {
            failedAt = min(failedAt, call.responded)
        }
        for (call, reason) in zip(calls, reasons) {
            switch reason {
            case .failed, .unknownOutcome, .diskFull:
                if !disk.hasFailed { problems.append("\(call.action) was refused, though nothing failed") }
            case .cancelled, .invalid, nil: break
            default: problems.append("\(call.action) was answered \(call.answer)")
            }
            if call.invoked > failedAt, reason != .failed, reason != .cancelled {
                problems.append("\(call.action) was answered \(call.answer) after the store had failed")
            }
        }
        return problems
    }

    // MARK: Clients

    private func work(
        _ client: Int,
        _ random: SplitMix,
        count: Int,
        _ store: FileStore,
        _ now: Int64,
        _ notebook: Notebook
    ) async {
        var random = random
        var view = HistoryClient()
        for _ in 0..<count {
            let operation = view.next(using: &random)
            let isCancelled = Int.random(in: 0..<12, using: &random) == 0
            let invoked = notebook.stamp
            let answer: StoreAnswer
            if isCancelled {
                let task = Task { await perform(operation, on: store) }
                if Bool.random(using: &random) { await Task.yield() }
                task.cancel()
                answer = await task.value
            } else {
                answer = await perform(operation, on: store)
            }
            let responded = answer == .refused(.unknownOutcome) ? Int.max : notebook.stamp
            notebook.add(
                HistoryCall(
                    client: client,
                    .operation(operation),
                    now: now,
                    invoked: invoked,
                    responded: responded,
                    answer
                )
            )
            view.see(answer, to: operation)
        }
    }
}

/// A clock that stands still until it is told to move.
private struct HandClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private final class Storage: Sendable { let now = Lock(Instant(offset: .zero)) }

    private let storage = Storage()
    var now: Instant { storage.now.withLock { $0 } }
    var minimumResolution: Duration { .nanoseconds(1) }
    func advance(by duration: Duration) { storage.now.withLock { $0 = $0.advanced(by: duration) } }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws { throw CancellationError() }
}

/// What there was in some histories.
package struct HistoryCounts: Hashable, Sendable {
    package var calls = 0
    package var cancelled = 0
    package var unknown = 0
    package var openings = 0

    package init() {}

    init(_ calls: [HistoryCall]) {
        for call in calls {
            if case .reopening = call.action {
                openings += 1
                continue
            }
            self.calls += 1
            if call.answer == .refused(.cancelled) { cancelled += 1 }
            if call.answer == .refused(.unknownOutcome) { unknown += 1 }
        }
    }

    package mutating func add(_ other: HistoryCounts) {
        calls += other.calls
        cancelled += other.cancelled
        unknown += other.unknown
        openings += other.openings
    }
}

extension HistoryRun {
    /// Lets the clients work, and looks for an order of their calls.
    ///
    /// - Returns: What is wrong, nil for nothing; and what there was.
    package func verdict() async -> (problem: String?, counts: HistoryCounts) {
        let outcome = await run()
        let counts = HistoryCounts(outcome.calls)
        if !outcome.problems.isEmpty { return (outcome.problems.prefix(5).joined(separator: "\n"), counts) }
        switch HistoryChecker(outcome.calls).check(from: ModelStore()) {
        case .linearizable: return (nil, counts)
        case .violation(let text): return (text, counts)
        case .undecided: return ("no order was found in the steps that are allowed", counts)
        }
    }
}
