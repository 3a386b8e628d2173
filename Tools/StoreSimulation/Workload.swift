internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// A step of a small workload.
package enum WorkloadStep: Int, CaseIterable, Hashable, Sendable {
    case put, putExpiring, compareAndSet, compareAndSetInVain, createExpiring, touch, delete, commitThree, enqueue
    case claim, done, retry, deadLetter, stale, add, rate, big, putMany, createMany, twoInOneBatch, readPending
    case pagePending, writeBehindFlush, readDuringCompaction, checkpointBeforeFlush, fullDisk, read, advance
    case almostAdvance, reopen, readAfterInstall, readExpired, fillDisk
    case expireBeforeFlush, maintainDuringWrites
}

/// A sequence of a few steps.
package struct Workload: Hashable, Sendable, CustomStringConvertible {
    package var steps: [WorkloadStep]
    package var tuning: Int

    /// A tuning with which a few steps fill and compact the log.
    package static let tunings = [
        LogTuning(growth: 1024, batchLimit: 64, compactionMinimum: 1024, checkpointSize: 1024, sliceLimit: 2),
        LogTuning(growth: 4096, batchLimit: 1 << 20, compactionMinimum: 1 << 20),
        LogTuning(growth: 512, batchLimit: 1 << 20, compactionMinimum: 512, checkpointSize: 6144),
    ]

    /// Returns the number of workloads of up to `length` steps.
    package static func count(upTo length: Int) -> Int {
        var count = 0
        var ofThisLength = 1
        for _ in 0...length {
            count += ofThisLength
            ofThisLength *= WorkloadStep.allCases.count
        }
        return count * tunings.count
    }

    /// Creates the workload of a number.
    ///
    /// Shorter workloads have smaller numbers.
    package init(number: Int) {
        tuning = number % Self.tunings.count
        var rest = number / Self.tunings.count
        var length = 0
        var ofThisLength = 1
        while rest >= ofThisLength {
            rest -= ofThisLength
            ofThisLength *= WorkloadStep.allCases.count
            length += 1
        }
        steps = []
        for _ in 0..<length {
            steps.append(WorkloadStep.allCases[rest % WorkloadStep.allCases.count])
            rest /= WorkloadStep.allCases.count
        }
    }

    package var description: String {
        steps.map { "\($0)" }.joined(separator: ", ") + " (tuning \(tuning))"
    }

    package var environment: CrashEnvironment {
        CrashEnvironment(tuning: Self.tunings[tuning], probes: Self.probes)
    }

    private static let queue: QueueName = "mail"
    private static let keyspace: Keyspace = "shop"
    private static let first = StoreKey(keyspace, "first")
    private static let second = StoreKey(keyspace, "second")
    private static let third = StoreKey(keyspace, "third")
    private static let expiring = StoreKey(keyspace, "expiring")
    private static let counter = StoreKey(keyspace, "counter")
    private static let rate = StoreKey(keyspace, "rate")

    /// A number of entries beyond the number that a store frees in one step and that a leaf of a tree has.
    ///
    /// The keys differ only after many bytes.
    private static let many = (0..<36).map { StoreKey(keyspace, "many entries", "\($0)") }
    /// A number of entries beyond the number that a store frees in several steps.
    private static let crowd = (0..<100).map { StoreKey(keyspace, "crowd", "\($0)") }

    /// The operations that read everything that the steps write.
    private static let probes: [WorkloadOperation] = [
        .scan(prefix: StoreKey(keyspace), after: nil, limit: 1000),
        .page(queue, .pending, after: nil, limit: 1000),
        .page(queue, .deadLetter, after: nil, limit: 1000),
        .nextDue(queue),
        .counts(queue),
    ]

    /// Executes a step.
    ///
    /// `number` makes its writes unique.
    package static func perform(_ step: WorkloadStep, number: Int, on run: CrashRun) throws(Violation) {
        let value = Array("value \(number)".utf8)
        func version(_ key: StoreKey) -> StoreVersion? {
            var model = run.model
            guard case .entries(let entries) = model.apply(.get([key]), now: run.now) else { return nil }
            return entries[0]?.version
        }
        func put(_ key: StoreKey, _ expiry: Expiry = .never, if condition: WriteCondition = .any) -> WorkloadOperation {
            .commit([.put(key, value, expiry, if: condition)], [])
        }
        func settle(_ action: Settlement.Action) -> WorkloadOperation {
            var model = run.model
            guard case .page(let page) = model.apply(.page(queue, .pending, after: nil, limit: 100), now: run.now),
                let record = page.records.first(where: \.isLeased) ?? page.records.first
            else {
                let token = StoreVersion(rawValue: 1)
                return .settle([Settlement(queue: queue, id: "nobody", token: token, action)])
            }
            return .settle([Settlement(queue: queue, id: record.id, token: record.version, action)])
        }
        /// Returns the time until an entry ends or a record is due, or six seconds for none.
        var untilNextEnd: Int64 {
            let now = run.now
            let content = run.model.content(now: now)
            let ends = content.entries.compactMap(\.stored.expiresAt) + content.records.map(\.dueAt)
            let next = ends.filter { $0 > now / 1_000_000 }.min()
            return next.map { $0.multipliedSaturating(1_000_000) - now } ?? 6_000_000_000
        }
        switch step {
        case .put: try run.call(put(first))
        case .putExpiring: try run.call(put(expiring, .after(.milliseconds(5000))))
        case .compareAndSet: try run.call(put(first, .keep, if: version(first).map { .version($0) } ?? .absent))
        case .compareAndSetInVain: try run.call(put(first, if: .version(StoreVersion(rawValue: 1 << 40))))
        case .createExpiring: try run.call(put(expiring, .after(.seconds(3)), if: .absent))
        case .touch: try run.call(.commit([.touch(expiring, .after(.seconds(60)), if: .present)], []))
        case .delete: try run.call(.commit([.delete(first, if: .any)], []))
        case .commitThree:
            let record = NewRecord(queue: queue, id: "order \(number)", payload: value)
            let writes: [StoreWrite] = [
                .put(first, value, .never, if: .any), .put(second, value, .after(.seconds(30)), if: .any),
                .delete(third, if: .any), .check(expiring, .any),
            ]
            try run.call(.commit(writes, [record]))
        case .enqueue:
            let later = NewRecord(queue: queue, id: "later", payload: value, delay: .seconds(4))
            try run.call(.enqueue([NewRecord(queue: queue, id: "now \(number)", payload: value), later]))
        case .claim: try run.call(.claim(queue, limit: 2, lease: .seconds(10)))
        case .done: try run.call(settle(.done))
        case .retry: try run.call(settle(.retry(after: .milliseconds(500), countsAttempt: number % 2 == 0)))
        case .deadLetter: try run.call(settle(.deadLetter(reason: "broken")))
        case .stale:
            guard case .settle(var settlements) = settle(.done) else { return }
            settlements[0].token = StoreVersion(rawValue: settlements[0].token.rawValue &- 1)
            try run.call(.settle(settlements))
        case .add: try run.call(.update([.init(counter, .add(1, within: 0...2, expiry: .seconds(5)))]))
        case .rate:
            let rate = WorkloadOperation.KeyedUpdate(rate, .gcra(interval: .seconds(1), burst: 2, cost: 1))
            try run.call(.update([rate]))
        case .big:
            // The value has whole sectors of zeros in the middle.
            let value = value + [UInt8](repeating: 0, count: 1300) + [UInt8](repeating: 7, count: 700)
            try run.call(.commit([.put(third, value, .never, if: .any)], []))
        case .putMany: try run.call(.commit(many.map { .put($0, value, .after(.seconds(2)), if: .any) }, []))
        case .createMany: try run.call(.commit(many.map { .put($0, value, .after(.seconds(2)), if: .absent) }, []))
        case .twoInOneBatch:
            try run.submit(put(first))
            try run.submit(put(second, .after(.seconds(5))))
            try run.settle()
        case .readPending:
            try run.submit(.commit([.put(first, value, .never, if: .any), .delete(second, if: .any)], []))
            try run.submit(.get([third]))
            try run.submit(.get([first, expiring]))
            try run.submit(put(second, if: .present))
            try run.settle()
        case .pagePending:
            try run.submit(.commit([.delete(first, if: .any)], [NewRecord(queue: queue, id: "new", payload: value)]))
            try run.submit(.scan(prefix: StoreKey(keyspace), after: nil, limit: 3))
            try run.settle()
            try run.submit(.enqueue([NewRecord(queue: queue, id: "newer", payload: value)]))
            try run.submit(.page(queue, .pending, after: nil, limit: 3))
            run.begin()
            try run.submit(.counts(queue))
            try run.submit(.nextDue(queue))
            try run.submit(.enqueue([NewRecord(queue: queue, id: "newer", payload: value)]))
            try run.submit(.commit([], [NewRecord(queue: queue, id: "newer", payload: value)]))
            try run.settle()
        case .writeBehindFlush:
            try run.submit(put(first))
            try run.submit(.commit([.touch(expiring, .after(.seconds(60)), if: .present)], []))
            run.begin()
            try run.submit(put(second, if: .absent))
            try run.submit(.get([first]))
            try run.submit(.get([second]))
            try run.submit(.get([expiring]))
            try run.submit(.claim(queue, limit: 1, lease: .seconds(1)))
            try run.settle()
        case .readDuringCompaction:
            for _ in 0..<6 where !run.isCompacting {
                try run.submit(put(expiring, .after(.seconds(1))))
                run.begin()
                try run.finish()
                run.begin()
            }
            run.advance(by: 2_000_000_000)
            try run.submit(.get([expiring]))
            try run.settle()
        case .readAfterInstall:
            // An entry expires while the frame of a checkpoint is being written.
            for _ in 0..<10 where !run.isInstalling {
                try run.submit(put(expiring, .after(.seconds(1))))
                run.beginLog()
                try run.finishLog()
                run.beginMaintenance()
                try run.finishMaintenance()
                run.beginLog()
            }
            run.advance(by: 2_000_000_000)
            try run.submit(.get([first]))
            try run.finishLog()
            try run.submit(.get([expiring]))
            try run.settle()
        case .expireBeforeFlush:
            // An entry expires before its batch is durable, and another frame records a later time before the batch.
            for _ in 0..<4 {
                try run.call(put(expiring))
                try run.submit(put(expiring, .after(.milliseconds(1))))
                run.advance(by: 5_000_000)
                try run.submit(.get([first]))
                run.beginLog()
                try run.finishLog()
                try run.submit(.get([expiring]))
                try run.settle()
            }
        case .readExpired:
            // A call frees some of the expired entries. An entry behind them expires after the last recorded time.
            let writes = crowd.map { StoreWrite.put($0, [], .after(.seconds(2)), if: .any) }
            try run.call(.commit(writes + [.put(expiring, value, .after(.seconds(3)), if: .any)], []))
            run.advance(by: 2_500_000_000)
            try run.submit(put(first))
            run.beginLog()
            try run.finishLog()
            run.advance(by: 1_000_000_000)
            let scan = WorkloadOperation.scan(prefix: StoreKey(keyspace), after: nil, limit: 1000)
            try run.submit(number % 2 == 0 ? scan : .get([expiring]))
            try run.settle()
        case .checkpointBeforeFlush:
            // Checkpoints contain a part of a commit that is not durable yet.
            for count in 0..<4 {
                let record = NewRecord(queue: queue, id: "order \(number).\(count)", payload: value)
                try run.submit(.commit([.put(first, value, .never, if: .any), .delete(second, if: .any)], [record]))
                run.beginMaintenance()
                try run.finishMaintenance()
                run.begin()
                try run.finishLog()
            }
            try run.settle()
        case .maintainDuringWrites:
            // Each maintenance step takes place during a step of the log. Segments end while a checkpoint is written.
            let keys = [first, second, third, expiring]
            for count in 0..<24 {
                // The log has time for a second step after a write, such as the frame of a checkpoint.
                if count % 2 == 0 { try run.submit(put(keys[count / 2 % keys.count])) }
                run.beginLog()
                run.beginMaintenance()
                try run.finishMaintenance()
                try run.finishLog()
            }
            try run.settle()
        case .fullDisk:
            // A write without space, then a write into the reserve, and the seal.
            for count in [5000, 500, 5000] {
                run.limitSpace(to: 700)
                try run.call(.commit([.put(third, [UInt8](repeating: 3, count: count), .never, if: .any)], []))
            }
            try run.reopen(unixTime: run.now)
        case .fillDisk:
            // Writes fill the log of a full disk before a compaction begins. The compaction can end all the same.
            run.limitSpace(to: 0)
            for _ in 0..<20 {
                try run.submit(put(first))
                run.beginLog()
                try run.finishLog()
            }
            try run.settle()
            try run.freeSpace(put(first))
        case .read:
            try run.call(.get([first, second, third, expiring, counter, rate]))
            try run.call(.scan(prefix: StoreKey(keyspace), after: nil, limit: 2))
            try run.call(.page(queue, .pending, after: nil, limit: 10))
        case .advance: run.advance(by: untilNextEnd)
        case .almostAdvance: run.advance(by: max(0, untilNextEnd - 1))
        case .reopen:
            // The wall clock was set back in the meantime.
            try run.reopen(unixTime: run.now - 1_000_000_000)
        }
    }
}
