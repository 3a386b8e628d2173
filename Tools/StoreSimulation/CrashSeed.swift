internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// A long random workload with crashes, determined by its seed.
package struct CrashSeed {
    package private(set) var counts = CrashCounts()
    /// The number of operations.
    package private(set) var operations = 0
    private var random: SplitMix
    private let seed: UInt64
    private let mix: OperationMix
    private let environment: CrashEnvironment
    private let longestPause: Int64
    /// A Boolean value that indicates whether the disk is sometimes full.
    private let fillsDisk: Bool
    private let length: Int

    package init(_ seed: UInt64) {
        self.seed = seed
        var random = SplitMix(seed)
        func one<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &random)]
        }
        mix = OperationMix(
            keys: one([1, 3, 6, 12, 40, 200]),
            queues: one([1, 2, 3]),
            ids: one([1, 4, 10, 80]),
            longestValue: one([12, 40, 600, 3000]),
            invalidPercentage: one([0, 3])
        )
        let tuning = LogTuning(
            growth: one([512, 1024, 4096, 16384]),
            batchLimit: one([1, 64, 700, 1 << 20]),
            compactionMinimum: one([512, 2048, 8192, 1 << 20]),
            checkpointSize: one([1, 1024, 4096]),
            sliceLimit: one([1, 3, 256])
        )
        let configuration = FileStore.Configuration(
            maxEntries: one([1_000_000, 1_000_000, 8]),
            maxBytes: one([256 << 20, 256 << 20, 2000])
        )
        let probes: [WorkloadOperation] =
            [.scan(prefix: StoreKey(OperationMix.keyspace), after: nil, limit: 1000)]
            + mix.queues.flatMap { queue -> [WorkloadOperation] in
                [
                    .page(queue, .pending, after: nil, limit: 1000), .page(queue, .deadLetter, after: nil, limit: 1000),
                    .nextDue(queue), .counts(queue),
                ]
            }
        var environment = CrashEnvironment(tuning: tuning, configuration: configuration, probes: probes)
        // Only whole sectors: a crash may keep a part of a sector alone, which looks like damage.
        environment.longestWrite = one([.max, .max, 1024, 512])
        environment.longestRead = one([.max, .max, 700, 100])
        self.environment = environment
        longestPause = one([1000, 3_000_000, 2_000_000_000])
        fillsDisk = one([false, true])
        length = Int.random(in: 50...500, using: &random)
        self.random = random
    }

    /// Runs the workload.
    package mutating func run() throws(Violation) {
        counts.workloads += 1
        do throws(Violation) {
            var run = try first()
            run.unmark()
            while operations < length {
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<3: run = try crash(run)
                case 3..<5: try run.reopen(unixTime: wallClock(run.now))
                case 5..<60: try run.call(next(run))
                case 60..<80: try run.submit(next(run))
                case 80..<90: run.begin()
                case 90: try run.finish()
                case 91: try run.finishMaintenance()
                case 92..<95:
                    // A maintenance step with calls and steps of the log during it.
                    run.beginMaintenance()
                    for _ in 0..<2 {
                        try run.submit(next(run))
                        run.begin()
                        if Bool.random(using: &random) { try run.finishLog() }
                    }
                case 95:
                    // A maintenance step with the changes of the open batch, and the next step of the log.
                    try run.submit(next(run))
                    run.beginMaintenance()
                    try run.finishMaintenance()
                    run.begin()
                    try run.finishLog()
                case 96..<98 where fillsDisk:
                    if Bool.random(using: &random) {
                        run.limitSpace(to: .random(in: 0...6000, using: &random))
                    } else if environment.isUnlimited {
                        try run.freeSpace(.commit([.put(mix.keys[0], [1], .never, if: .any)], []))
                    } else {
                        run.limitSpace(to: nil)
                    }
                case 98: try interleave(run)
                default: try run.settle()
                }
            }
            _ = try crash(run)
        } catch {
            throw Violation("after \(operations) operations: \(error)")
        }
    }

    /// Makes calls while single steps of the log and of the maintenance are in progress.
    ///
    /// A compaction takes as long as many writes, and segments end while a checkpoint file is being written.
    private mutating func interleave(_ run: CrashRun) throws(Violation) {
        for _ in 0..<Int.random(in: 10...50, using: &random) {
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<3: try run.submit(next(run))
            case 3: run.beginLog()
            case 4:
                run.beginLog()
                try run.finishLog()
            case 5: try run.finishLog()
            case 6: run.beginMaintenance()
            default: try run.finishMaintenance()
            }
        }
    }

    /// Opens a new store or a store in format 1, and crashes during the opening and the first calls.
    private mutating func first() throws(Violation) -> CrashRun {
        let now = CrashExplorer.beginning
        let run: CrashRun
        if Int.random(in: 0..<4, using: &random) > 0 {
            run = try CrashRun(environment, seed: seed, unixTime: now)
        } else {
            var model = environment.newModel
            for _ in 0..<60 { _ = model.apply(mix.next(model, using: &random), now: now) }
            let disk = SimulatedDisk(model.firstFormatFiles(now: now, salt: random.next()))
            let oracle = DurabilityOracle(model, openedAt: now)
            let fileSystem = SimulatedFileSystem(seed: seed, disk)
            run = try CrashRun(environment, fileSystem, oracle, unixTime: wallClock(now), keepsPoints: true)
        }
        for _ in 0..<8 { _ = try recover(run, keepsPoints: false) }
        run.mark()
        for _ in 0..<3 {
            try run.submit(next(run))
            run.beginLog()
            try run.finishLog()
        }
        for _ in 0..<8 { _ = try recover(run, keepsPoints: false) }
        return run
    }

    private mutating func next(_ run: CrashRun) -> WorkloadOperation {
        operations += 1
        if Int.random(in: 0..<3, using: &random) == 0 {
            run.advance(by: pause(run))
        }
        return mix.next(run.model, using: &random)
    }

    /// Returns a random duration, or exactly the time until an end or a due time, or a nanosecond less.
    private mutating func pause(_ run: CrashRun) -> Int64 {
        let pause = Int64.random(in: 0...longestPause, using: &random)
        if Bool.random(using: &random) { return pause }
        let content = run.model.content(now: run.now)
        let ends = content.entries.compactMap(\.stored.expiresAt) + content.records.map(\.dueAt)
        let soon = ends.filter { $0 > run.now / 1_000_000 && $0 < run.now / 1_000_000 + 10_000 }
        guard let end = soon.randomElement(using: &random) else { return pause }
        return end * 1_000_000 - run.now - (Bool.random(using: &random) ? 1 : 0)
    }

    /// Returns the wall clock of the next opening: right, set back, later or a year ahead.
    private mutating func wallClock(_ now: Int64) -> Int64 {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: now
        case 1: now - .random(in: 0...7_200_000_000_000, using: &random)
        case 2: now + .random(in: 0...longestPause, using: &random)
        case 3: now + 365 * 86_400_000_000_000
        default: now + .random(in: 0...7_200_000_000_000, using: &random)
        }
    }

    /// Crashes during the next operations in several ways, and continues after one of the crashes.
    private mutating func crash(_ run: CrashRun) throws(Violation) -> CrashRun {
        try run.checkContent()
        run.mark()
        if fillsDisk, Bool.random(using: &random) { run.limitSpace(to: .random(in: 0...6000, using: &random)) }
        if Int.random(in: 0..<3, using: &random) == 0 { try interleave(run) }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            try run.submit(next(run))
            if Int.random(in: 0..<3, using: &random) == 0 { try maintain(run) }
            if Bool.random(using: &random) { run.begin() }
            if Int.random(in: 0..<3, using: &random) == 0 { try maintain(run) }
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

    /// Begins a maintenance step, and sometimes completes the step before the step of the log that was begun.
    private mutating func maintain(_ run: CrashRun) throws(Violation) {
        run.beginMaintenance()
        if Bool.random(using: &random) { try run.finishMaintenance() }
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
            let run = try point.crash(
                choice,
                environment,
                seed: random.next(),
                unixTime: wallClock(now),
                keepsPoints: keepsPoints
            )
            if run == nil { counts.rejections += 1 }
            return run
        } catch {
            throw Violation("\(choice) of \(point.disk.changes.count) changes: \(error)")
        }
    }
}
