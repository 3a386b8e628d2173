internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// A long random workload with crashes in it, of which everything follows from a number.
package struct CrashSeed {
    package private(set) var counts = CrashCounts()
    /// How many operations were made.
    package private(set) var operations = 0
    private var random: SplitMix
    private let seed: UInt64
    private let mix: OperationMix
    private let environment: CrashEnvironment
    private let longestPause: Int64
    /// Whether the disk is full now and then.
    private let fillsDisk: Bool
    private let length: Int

    package init(_ seed: UInt64) {
        self.seed = seed
        var random = SplitMix(seed)
        func one<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &random)]
        }
        mix = OperationMix(
            keys: one([1, 3, 6, 12, 40]),
            queues: one([1, 2, 3]),
            ids: one([1, 4, 10]),
            longestValue: one([12, 40, 600, 3000]),
            nonsense: one([0, 3])
        )
        let tuning = LogTuning(
            growth: one([512, 1024, 4096, 16384]),
            batchLimit: one([1, 64, 700, 1 << 20]),
            compactionMinimum: one([512, 2048, 8192, 1 << 20])
        )
        let configuration = FileStore.Configuration(
            maximumEntries: one([1_000_000, 1_000_000, 8]),
            maximumBytes: one([256 << 20, 256 << 20, 2000])
        )
        let probes: [StoreOperation] =
            [.scan(prefix: StoreKey(OperationMix.keyspace), after: nil, limit: 1000)]
            + mix.queues.flatMap { queue -> [StoreOperation] in
                [
                    .page(queue, .pending, after: nil, limit: 1000), .page(queue, .dead, after: nil, limit: 1000),
                    .nextDue(queue), .counts(queue),
                ]
            }
        var environment = CrashEnvironment(tuning: tuning, configuration: configuration, probes: probes)
        // Whole sectors: a part of one that is written alone can be left alone, and then it looks like damage.
        environment.longestWrite = one([.max, .max, 1024, 512])
        environment.longestRead = one([.max, .max, 700, 100])
        self.environment = environment
        longestPause = one([1000, 3_000_000, 2_000_000_000])
        fillsDisk = one([false, true])
        length = Int.random(in: 50...500, using: &random)
        self.random = random
    }

    /// Runs it.
    package mutating func run() throws(Violation) {
        counts.workloads += 1
        do throws(Violation) {
            var run = try CrashRun(environment, seed: seed, unixTime: CrashExplorer.beginning)
            run.unmark()
            while operations < length {
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<3: run = try crash(run)
                case 3..<5: try run.reopen(unixTime: wallClock(run.now))
                case 5..<60: try run.call(next(run))
                case 60..<80: try run.submit(next(run))
                case 80..<90: run.begin()
                case 90..<92: try run.finish()
                case 92..<95:
                    // The second of the two steps may be a compaction, with calls meanwhile.
                    try run.submit(next(run))
                    run.begin()
                    try run.finish()
                    run.begin()
                    for _ in 0..<2 { try run.submit(next(run)) }
                case 95..<97 where fillsDisk:
                    run.limitSpace(to: Bool.random(using: &random) ? Int.random(in: 0...6000, using: &random) : nil)
                default: try run.settle()
                }
            }
            _ = try crash(run)
        } catch {
            throw Violation("after \(operations) operations: \(error)")
        }
    }

    private mutating func next(_ run: CrashRun) -> StoreOperation {
        operations += 1
        if Int.random(in: 0..<3, using: &random) == 0 {
            run.advance(by: pause(run))
        }
        return mix.next(run.model, using: &random)
    }

    /// A while, or exactly until something ends or is due, or a nanosecond less.
    private mutating func pause(_ run: CrashRun) -> Int64 {
        let pause = Int64.random(in: 0...longestPause, using: &random)
        if Bool.random(using: &random) { return pause }
        let content = run.model.content(now: run.now)
        let ends = content.entries.compactMap(\.stored.expiresAt) + content.records.map(\.dueAt)
        let soon = ends.filter { $0 > run.now / 1_000_000 && $0 < run.now / 1_000_000 + 10_000 }
        guard let end = soon.randomElement(using: &random) else { return pause }
        return end * 1_000_000 - run.now - (Bool.random(using: &random) ? 1 : 0)
    }

    /// The wall clock at the next opening: right, or set back, or later, or a year ahead.
    private mutating func wallClock(_ now: Int64) -> Int64 {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: now
        case 1: now - .random(in: 0...7_200_000_000_000, using: &random)
        case 2: now + .random(in: 0...longestPause, using: &random)
        case 3: now + 365 * 86_400_000_000_000
        default: now + .random(in: 0...7_200_000_000_000, using: &random)
        }
    }

    /// Crashes somewhere in the next operations, in several ways, and goes on after one of them.
    private mutating func crash(_ run: CrashRun) throws(Violation) -> CrashRun {
        run.mark()
        if fillsDisk, Bool.random(using: &random) { run.limitSpace(to: .random(in: 0...6000, using: &random)) }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            try run.submit(next(run))
            if Bool.random(using: &random) { run.begin() }
        }
        switch Int.random(in: 0..<6, using: &random) {
        case 0: break
        case 1: try run.reopen(unixTime: wallClock(run.now))
        default: try run.settle()
        }
        for _ in 0..<6 {
            guard let after = try recover(run, keepsPoints: true) else { continue }
            guard let point = after.points.randomElement(using: &random) else { continue }
            counts.inRecovery += 1
            _ = try recover(point, after.now, keepsPoints: false)
        }
        while true {
            guard let after = try recover(run, keepsPoints: false) else { continue }
            return after
        }
    }

    private mutating func recover(_ run: CrashRun, keepsPoints: Bool) throws(Violation) -> CrashRun? {
        guard let point = run.points.randomElement(using: &random) else { return nil }
        return try recover(point, run.now, keepsPoints: keepsPoints)
    }

    private mutating func recover(
        _ point: CrashPoint,
        _ now: Int64,
        keepsPoints: Bool
    ) throws(Violation) -> CrashRun? {
        counts.states += 1
        let choices = point.disk.crashChoices(randomSubsets: 6, seed: random.next())
        let choice = choices.randomElement(using: &random) ?? .nothing
        do throws(Violation) {
            return try CrashRun(
                environment,
                SimulatedFileSystem(seed: random.next(), point.disk.crashed(choice)),
                point.witness,
                unixTime: wallClock(now),
                keepsPoints: keepsPoints,
                checksTail: choice.isPossible
            )
        } catch {
            if case .corruption = error.reason, choice.mayBeRefused {
                counts.refusals += 1
                return nil
            }
            throw Violation("\(choice) of \(point.disk.changes.count) changes: \(error)")
        }
    }
}
