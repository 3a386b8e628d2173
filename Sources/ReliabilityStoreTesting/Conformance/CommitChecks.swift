internal import ReliabilityCore
internal import ReliabilityStore
internal import ReliabilityTesting

extension StoreConformance {
    static let commitChecks = [
        Check(
            "commit.preconditions",
            "the current entry decides every condition, and a conflict returns the current entry",
            preconditions
        ),
        Check(
            "commit.atomic",
            "a false condition at any position in a commit leaves every entry unchanged",
            commitIsAtomic
        ),
        Check("commit.versions", "a commit returns the new version of each entry", commitVersions),
        Check("commit.duplicateKey", "a key that appears twice is rejected", duplicateKey),
        Check("commit.cancelled", "a cancelled task writes nothing", cancelledCommit),
        Check(
            "commit.cancelledMidway",
            "a task cancelled during a commit gets no wrong answer",
            commitCancelledMidway
        ),
    ]

    private enum Before: CaseIterable { case absent, deleted, expired, present }
    private enum Kind: CaseIterable { case put, delete, touch, check }
    private enum Condition: CaseIterable { case any, absent, present, itsVersion, anotherVersion }

    private static func preconditions(_ run: ConformanceRun) async throws {
        try await preconditions(run, isSingle: false)
        try await preconditions(run, isSingle: true)
    }

    /// Checks every condition.
    ///
    /// - Parameters:
    ///   - run: The run.
    ///   - isSingle: `true` for single writes, and `false` for commits of a list with one write.
    /// - Throws: A violation or the error of the store.
    private static func preconditions(_ run: ConformanceRun, isSingle: Bool) async throws {
        var cases: [(before: Before, kind: Kind, condition: Condition, key: StoreKey, version: StoreVersion)] = []
        for before in Before.allCases {
            for kind in Kind.allCases {
                for condition in Condition.allCases {
                    let key = run.key("\(before)", "\(kind)", "\(condition)", "\(isSingle)")
                    var version = StoreVersion(rawValue: 1)
                    switch before {
                    case .absent: break
                    case .deleted:
                        version = try await run.put(key, [1])
                        try await run.committed([.delete(key, if: .version(version))])
                    case .expired: version = try await run.put(key, [1], .after(.milliseconds(10)))
                    case .present: version = try await run.put(key, [1])
                    }
                    cases.append((before, kind, condition, key, version))
                }
            }
        }
        try await run.advance(.milliseconds(20))
        for (before, kind, condition, key, version) in cases {
            let isThere = before == .present
            let (precondition, holds): (WriteCondition, Bool) =
                switch condition {
                case .any: (.any, true)
                case .absent: (.absent, !isThere)
                case .present: (.present, isThere)
                case .itsVersion: (.version(version), isThere)
                case .anotherVersion: (.version(StoreVersion(rawValue: version.rawValue &+ 1)), false)
                }
            let write: StoreWrite =
                switch kind {
                case .put: .put(key, [2], .never, if: precondition)
                case .delete: .delete(key, if: precondition)
                case .touch: .touch(key, .never, if: precondition)
                case .check: .check(key, precondition)
                }
            let what = "\(kind) if \(condition) where the entry is \(before)" + (isSingle ? ", as a single write" : "")
            switch isSingle ? CommitResult(try await run.store.commit(write)) : try await run.store.commit([write]) {
            case .conflict(let index, let current):
                try run.expect(!holds, "\(what) found a conflict")
                try run.expect(index, is: 0, "the index of the conflict of \(what)")
                try run.expect(current?.value, is: isThere ? [1] : nil, "the value in the conflict of \(what)")
                try run.expect(current?.version, is: isThere ? version : nil, "the version in the conflict of \(what)")
                try await run.expect(key, holds: isThere ? [1] : nil, "after the conflict of \(what)")
            case .committed(let versions):
                try run.expect(holds, "\(what) was made")
                let entry = try await run.store.get(key)
                try run.expect(
                    versions,
                    is: [entry?.version],
                    "the versions of \(what), compared with the entry that is read"
                )
                let expected: [UInt8]? = kind == .put ? [2] : kind == .delete ? nil : isThere ? [1] : nil
                try run.expect(entry?.value, is: expected, "the value after \(what)")
            }
        }
    }

    private static func commitIsAtomic(_ run: ConformanceRun) async throws {
        for position in 0..<4 {
            let keys = (0..<4).map { run.key("atomic", "\(position)", "\($0)") }
            try await run.put(keys[1], [1], .after(.seconds(60)))
            try await run.put(keys[2], [2], .after(.seconds(60)))
            try await run.put(keys[3], [3])
            let before = try await run.read(keys)
            var writes: [StoreWrite] = [
                .put(keys[0], [10], .never, if: .absent),
                .delete(keys[1], if: .present),
                .touch(keys[2], .never, if: .present),
                .put(keys[3], [13], .after(.seconds(1)), if: .present),
            ]
            writes[position] = .put(keys[position], [99], .never, if: position == 0 ? .present : .absent)
            let current = try await run.conflicting(writes, at: position)
            try run.expectSame(current, before[position], "the entry returned by a conflict at \(position)")
            for (index, entry) in try await run.read(keys).enumerated() {
                try run.expectSame(entry, before[index], "entry \(index) after a conflict at \(position)")
            }
        }
        // The store must report the first of several conflicts.
        let key = run.key("none")
        let writes: [StoreWrite] = [
            .check(run.key("nothing"), .absent), .check(key, .present), .check(run.key("nothing either"), .present),
        ]
        _ = try await run.conflicting(writes, at: 1)
    }

    private static func commitVersions(_ run: ConformanceRun) async throws {
        let (first, second) = (run.key("first"), run.key("second"))
        let version = try await run.put(first, [1])
        let versions = try await run.committed([
            .put(second, [2], .never, if: .absent), .delete(first, if: .version(version)),
            .check(run.key("third"), .absent),
        ])
        try run.expect(versions.map { $0 != nil }, is: [true, false, false], "the writes that have versions")
        try await run.expect(first, holds: nil, "after an entry was moved")
        try await run.expect(second, holds: [2], "after an entry was moved")
        // A check returns the version of its entry.
        let checked = try await run.committed([.check(second, .present), .check(first, .absent)])
        try run.expect(checked, is: [versions[0], nil], "the versions of two checks")
    }

    private static func duplicateKey(_ run: ConformanceRun) async throws {
        let (key, other) = (run.key("twice"), run.key("other"))
        let second: [StoreWrite] = [
            .put(key, [2], .never, if: .any), .delete(key, if: .any), .touch(key, .never, if: .any), .check(key, .any),
        ]
        for write in second {
            try await run.rejected("a commit with a duplicate key") {
                try await run.store.commit([
                    .put(other, [3], .never, if: .any), .put(key, [1], .never, if: .any), write,
                ])
            }
        }
        let add = AtomicUpdate.add(1, within: 0...10, expiry: .seconds(60))
        try await run.rejected("an update with a duplicate key") {
            try await run.store.update([(other, add), (key, add), (key, add)])
        }
        try await run.expect(key, holds: nil, "after a commit was rejected")
        try await run.expect(other, holds: nil, "after a commit was rejected")
    }

    private static func cancelledCommit(_ run: ConformanceRun) async throws {
        let key = run.key("cancelled")
        let task = Task {
            await suspendUntilCancelled()
            return try await run.store.commit([.put(key, [1], .never, if: .any)])
        }
        task.cancel()
        try await run.rejected("the commit of a cancelled task", as: .cancelled) { try await task.value }
        let single = Task {
            await suspendUntilCancelled()
            return try await run.store.commit(.put(key, [1], .never, if: .any))
        }
        single.cancel()
        try await run.rejected("the single write of a cancelled task", as: .cancelled) { try await single.value }
        let update = Task {
            await suspendUntilCancelled()
            return try await run.store.update([(key, .add(1, within: 0...10, expiry: .seconds(60)))])
        }
        update.cancel()
        try await run.rejected("the update of a cancelled task", as: .cancelled) { try await update.value }
        let singleUpdate = Task {
            await suspendUntilCancelled()
            return try await run.store.update(key, .add(1, within: 0...10, expiry: .seconds(60)))
        }
        singleUpdate.cancel()
        try await run.rejected("the single update of a cancelled task", as: .cancelled) {
            try await singleUpdate.value
        }
        try await run.expect(key, holds: nil, "after the commit and the update of a cancelled task")
    }

    /// The result of a call during which the task was cancelled.
    enum CancelledCall<Success: Sendable>: Sendable {
        case answered(Success)
        case cancelled
        case unknown
    }

    /// Makes a call in a separate task and cancels the task after a number of yields.
    static func cancelling<Success: Sendable>(
        _ run: ConformanceRun,
        after yields: Int,
        _ operation: @escaping @Sendable () async throws -> Success
    ) async throws -> CancelledCall<Success> {
        let task = Task { try await operation() }
        for _ in 0..<yields { await Task.yield() }
        task.cancel()
        do {
            return .answered(try await task.value)
        } catch let error as StoreError where error.reason == .cancelled {
            return .cancelled
        } catch let error as StoreError where error.reason == .unknownOutcome {
            return .unknown
        }
    }

    private static func commitCancelledMidway(_ run: ConformanceRun) async throws {
        try await withThrowingTaskGroup { group in
            for number in 0..<64 {
                group.addTask {
                    let keys = [run.key("midway", "\(number)"), run.key("midway", "\(number)", "with it")]
                    let call = try await cancelling(run, after: number % 16) {
                        try await run.store.commit(keys.map { .put($0, [1], .never, if: .absent) })
                    }
                    let entries = try await run.read(keys)
                    switch call {
                    case .answered(let result):
                        let versions = entries.map { $0?.version }
                        try run.expect(
                            result,
                            is: .committed(versions),
                            "the result of a commit, compared with the entries that are read"
                        )
                        try run.expect(!versions.contains(nil), "a commit was made, but its entries are missing")
                    case .cancelled:
                        try run.expect(entries, is: [nil, nil], "after a commit that was rejected as cancelled")
                    case .unknown:
                        let there = entries.count { $0 != nil }
                        try run.expect(there != 1, "half of a commit was made")
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
