internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// A file store with its thread and with concurrent clients.
///
/// The seed determines the operations of the clients but not the interleaving of their calls.
package struct HistoryRun: Sendable {
    package struct Outcome: Sendable {
        package var calls: [HistoryCall] = []
        /// A problem that was found without a search for an order.
        package var problems: [String] = []
    }

    /// The beginning of every run in nanoseconds since 1970.
    package static let start: Int64 = 1_780_000_000_000_000_000

    private let seed: UInt64
    private let clients: Int
    private let operations: Int

    /// Creates a run with 3 to 8 clients of 10 to 50 operations each.
    package init(seed: UInt64) {
        self.seed = seed
        var random = SplitMix(seed)
        clients = .random(in: 3...8, using: &random)
        operations = .random(in: 10...50, using: &random)
    }

    /// The shared recorder of all clients.
    private final class CallRecorder: Sendable {
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

    /// Runs the clients phase by phase, and opens the store again after a failure or a close.
    package func run() async -> Outcome {
        var random = SplitMix(seed &+ 1)
        var outcome = Outcome()
        let recorder = CallRecorder()
        let phases = Int.random(in: 2...4, using: &random)
        var disk = SimulatedFileSystem(seed: seed)
        var now = Self.start
        var phase = 0
        var opening = 0
        while phase < phases {
            let clock = SteppedClock()
            let shared = SharedFileSystem(disk)
            let store: FileStore
            do throws(StoreError) {
                store = try FileStore(
                    at: "store",
                    clock: clock,
                    fileSystem: shared,
                    unixTime: now,
                    tuning: LogTuning(growth: 4096, batchLimit: 2048, compactionMinimum: 16 << 10)
                )
            } catch {
                outcome.problems.append("opening \(opening) threw \(error)")
                break
            }
            let first = store.capabilities.openedAt?.rawValue ?? 0
            if opening > 0 {
                record(.reopening(nextVersion: first), .counts(RecordCounts(pending: 0, deadLetters: 0)), now, recorder)
            }
            let calls = shared.with(\.callCount)
            let fault = fault(calls, using: &random)
            shared.with { $0.fault = fault }
            let openedAt = recorder.stamp
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
                                recorder
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
            outcome.problems += Self.problems(recorder.all.filter { $0.invoked > openedAt }, disk)
            if disk.openCount > 0 {
                outcome.problems.append("\(disk.openCount) files are open after the store was closed")
            }
            if let misuse = disk.misuse { outcome.problems.append(misuse) }
            // The process or the machine ends.
            let choices: [CrashChoice] = [.kill, .nothing, .everything, .random(seed)]
            let choice = choices[Int.random(in: 0..<choices.count, using: &random)]
            disk = disk.restarted(with: disk.disk.crashed(choice))
            opening += 1
        }
        outcome.calls = recorder.all
        return outcome
    }

    private func record(_ action: HistoryCall.Action, _ answer: StoreAnswer, _ now: Int64, _ recorder: CallRecorder) {
        let stamp = recorder.stamp
        recorder.add(HistoryCall(client: -1, action, now: now, invoked: stamp, responded: recorder.stamp, answer))
    }

    /// Returns the fault of every other run: one failure, or a disk that is full for some time.
    private func fault(_ calls: Int, using random: inout SplitMix) -> SimulatedFileSystem.Fault? {
        let call = calls + .random(in: 1...60, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1:
            return .init(.error, atCall: call, isPermanent: Bool.random(using: &random), cacheKeepsContent: false)
        case 2: return .init(.error, atCall: call)
        case 3: return .init(.noSpace(writesHalf: Bool.random(using: &random)), atCall: call)
        default: return nil
        }
    }

    /// Checks the rules that hold for every order of the calls.
    private static func problems(_ calls: [HistoryCall], _ disk: SimulatedFileSystem) -> [String] {
        var problems: [String] = []
        let reasons = calls.map { call -> StoreError.Reason? in
            if case .rejected(let reason) = call.answer { reason } else { nil }
        }
        var failedAt = Int.max
        for (call, reason) in zip(calls, reasons) where reason == .failed || reason == .unknownOutcome {
            failedAt = min(failedAt, call.responded)
        }
        for (call, reason) in zip(calls, reasons) {
            switch reason {
            case .failed, .unknownOutcome, .diskFull, .unavailable:
                if !disk.hasFailed { problems.append("\(call.action) was rejected, though nothing failed") }
            case .unavailable where disk.hasFailed: break
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
        _ recorder: CallRecorder
    ) async {
        var random = random
        var view = HistoryClient()
        for _ in 0..<count {
            let operation = view.next(using: &random)
            let isCancelled = Int.random(in: 0..<12, using: &random) == 0
            let invoked = recorder.stamp
            let answer: StoreAnswer
            if isCancelled {
                let task = Task { await perform(operation, on: store) }
                if Bool.random(using: &random) { await Task.yield() }
                task.cancel()
                answer = await task.value
            } else {
                answer = await perform(operation, on: store)
            }
            let responded = answer == .rejected(.unknownOutcome) ? Int.max : recorder.stamp
            recorder.add(
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

/// A clock that moves only when it is advanced.
private struct SteppedClock: Clock {
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

/// The counts of some histories.
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
            if call.answer == .rejected(.cancelled) { cancelled += 1 }
            if call.answer == .rejected(.unknownOutcome) { unknown += 1 }
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
    /// Runs the clients and searches an order of their calls.
    ///
    /// - Returns: The problem, or `nil` for none, and the counts.
    package func result() async -> (problem: String?, counts: HistoryCounts) {
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
