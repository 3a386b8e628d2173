internal import ReliabilityCore
internal import ReliabilityStore

extension StoreConformance {
    static let expiryChecks = [
        Check(
            "expiry.boundary",
            "an entry lives at least its time and is absent from the instant it ends",
            expiryBoundary
        ),
        Check(
            "expiry.oneBoundary",
            "all operations agree on the instant at which an entry ends",
            needs: [.exactTime],
            oneBoundary
        ),
        Check("expiry.subSecond", "times below a second are not rounded to zero, to a second or to forever", subSecond),
        Check(
            "expiry.absent",
            "an expired entry is absent for every operation, including the first operation",
            expiredIsAbsent
        ),
        Check("expiry.create", "a key with an expired entry can be created immediately", createOnExpired),
        Check(
            "expiry.keep",
            "a write keeps the expiry or replaces the expiry, as the write states",
            keepsExpiry
        ),
        Check("expiry.touch", "a touch counts from now, for a longer and for a shorter life", touchCountsFromNow),
        Check("expiry.extremes", "extreme times neither trap nor end an entry too soon", extremeExpiries),
    ]

    private static func expiryBoundary(_ run: ConformanceRun) async throws {
        let lives: [Duration] = [
            .milliseconds(1), .milliseconds(2), .microseconds(2500), .milliseconds(50), .seconds(1),
            .milliseconds(1500),
        ]
        for life in lives {
            let key = run.key("\(life)")
            try await run.put(key, [1], .after(life))
            try await expectBoundary(run, key, life)
            // A touch must set the same end as a put.
            try await run.put(key, [2])
            try await run.committed([.touch(key, .after(life), if: .present)])
            try await expectBoundary(run, key, life)
        }
        // Many entries end at the same time: more than a store may remove in one call.
        let keys = (0..<100).map { run.key("together", "\($0)") }
        for key in keys { try await run.put(key, [1], .after(.milliseconds(50))) }
        let remaining = try await run.store.get(keys[99])?.remaining
        try await run.advance(run.isExact ? remaining ?? .zero : .milliseconds(52))
        let count = try await run.read(keys).count { $0 != nil }
        try run.expect(count, is: 0, "the number of 100 entries that exist at the end of their life")
    }

    /// Follows an entry with this life to its end.
    private static func expectBoundary(_ run: ConformanceRun, _ key: StoreKey, _ life: Duration) async throws {
        guard run.isExact else {
            try await run.advance(life + .milliseconds(2))
            try await run.expect(key, holds: nil, "after its life of \(life)")
            return
        }
        guard let remaining = try await run.store.get(key)?.remaining else {
            throw run.violation("an entry with a life of \(life) is already absent or lives forever")
        }
        try run.expect(remaining >= life, "an entry with a life of \(life) begins with only \(remaining)")
        try run.expect(remaining < life + .milliseconds(1), "an entry with a life of \(life) begins with \(remaining)")
        try await run.advance(remaining - .nanoseconds(1))
        let left = try await run.store.get(key)?.remaining
        try run.expect(left != nil, "an entry was absent one nanosecond before the end of its life of \(life)")
        try run.expect(left ?? .zero > .zero, "an existing entry has \(left ?? .zero) left")
        try await run.advance(.nanoseconds(1))
        try await run.expect(key, holds: nil, "at the end of its life of \(life)")
    }

    private static func oneBoundary(_ run: ConformanceRun) async throws {
        let names = ["read", "create", "replace", "delete", "touch", "keep", "update"]
        let keys = names.map { run.key("boundary", $0) }
        let full = AtomicUpdate.fixedWindow(length: .seconds(3600), limit: 1, cost: 1)
        for key in keys.dropLast() { try await run.put(key, [1]) }
        let counted = try await run.store.update([(keys[6], full)])
        try run.expect(counted.isApplied, "the first hit of a window was denied")
        // All touches are in one commit, so the entries end together.
        let versions = try await run.committed(keys.map { .touch($0, .after(.milliseconds(20)), if: .present) })
        guard let version = versions[0], let remaining = try await run.store.get(keys[0])?.remaining else {
            throw run.violation("an entry with a life of 20 ms is already absent or lives forever")
        }
        let scanned = run.key("boundary")
        func conditions(_ isThere: Bool) async throws {
            let when = isThere ? "one nanosecond before the end" : "at the end"
            for condition in [WriteCondition.present, .absent, .version(version)] {
                let holds = (condition == .absent) != isThere
                let result = try await run.store.commit([.check(keys[0], condition)])
                if case .committed = result {
                    try run.expect(holds, "a check for \(condition) held \(when)")
                } else {
                    try run.expect(!holds, "a check for \(condition) did not hold \(when)")
                }
            }
            let entries = try await run.read(keys)
            let count = entries.count { $0 != nil }
            try run.expect(count, is: isThere ? keys.count : 0, "the number of entries read \(when)")
            let page = try await run.store.scan(scanned, after: nil, limit: 100)
            try run.expect(page.entries.count, is: isThere ? keys.count : 0, "the number of entries scanned \(when)")
        }
        try await run.advance(remaining - .nanoseconds(1))
        try await conditions(true)
        let early = try await run.conflicting([.put(keys[1], [2], .never, if: .absent)])
        try run.expect(early?.value, is: [1], "the value in the conflict of a create one nanosecond before the end")
        let denied = try await run.store.update([(keys[6], full)])
        try run.expect(!denied.isApplied, "a full window was hit one nanosecond before its entry's end")

        try await run.advance(.nanoseconds(1))
        try await conditions(false)
        for write in [
            StoreWrite.put(keys[2], [2], .never, if: .present), .delete(keys[3], if: .present),
            .touch(keys[4], .never, if: .present),
        ] {
            let current = try await run.conflicting([write])
            try run.expect(current == nil, "an entry conflicted with \(write) at its end")
        }
        try await run.put(keys[1], [2], if: .absent)
        try await run.put(keys[5], [2], .keep)
        try run.expect(
            try await run.store.get(keys[5])?.remaining,
            is: nil,
            "the remaining life after a put that keeps the expiry of an ended entry"
        )
        let again = try await run.store.update([(keys[6], full)])
        try run.expect(again.isApplied, "a window was still full at its entry's end")
    }

    private static func subSecond(_ run: ConformanceRun) async throws {
        let lives: [Duration] = [
            .seconds(-5), .zero, .nanoseconds(1), .microseconds(400), .microseconds(999), .milliseconds(500),
            .milliseconds(999),
        ]
        for life in lives { try await run.put(run.key("\(life)"), [1], .after(life)) }
        for life in lives {
            var entry = try await run.store.get(run.key("\(life)"))
            if run.isExact || life > .milliseconds(400) {
                // If time does not stand still, the entry may end before the read.
                for _ in 0..<9 where entry == nil && !run.isExact {
                    try await run.put(run.key("\(life)"), [1], .after(life))
                    entry = try await run.store.get(run.key("\(life)"))
                }
                try run.expect(entry != nil, "an entry with a life of \(life) is already absent")
                try run.expect(entry?.remaining != nil, "an entry with a life of \(life) lives forever")
            }
        }
        try await run.advance(.milliseconds(2))
        for life in lives where life < .milliseconds(2) {
            try await run.expect(run.key("\(life)"), holds: nil, "2 ms after a put for \(life)")
        }
        try await run.advance(.milliseconds(998))
        for life in lives { try await run.expect(run.key("\(life)"), holds: nil, "1 s after a put for \(life)") }
    }

    private static func expiredIsAbsent(_ run: ConformanceRun) async throws {
        let names = [
            "get", "several", "check absent", "check present", "put present", "put version", "delete present",
            "delete version", "touch", "touch any", "keep", "scan", "update",
        ]
        var versions: [String: StoreVersion] = [:]
        for name in names { versions[name] = try await run.put(run.key(name), [1], .after(.milliseconds(20))) }
        // The window is full, so an update shows whether the entry still exists.
        let update = AtomicUpdate.fixedWindow(length: .milliseconds(20), limit: 1, cost: 1)
        let hit = try await run.store.update([(run.key("update"), update)])
        try run.expect(hit.isApplied, "an update of a value that no update wrote was denied")
        try await run.advance(.milliseconds(22))
        func version(_ name: String) -> WriteCondition { .version(versions[name] ?? StoreVersion(rawValue: 0)) }

        // A separate key for each operation: no key is read between its expiry and its operation.
        try run.expect(try await run.store.get(run.key("get")) == nil, "get returned an expired entry")
        let several = try await run.read([run.key("several"), run.key("none")])
        try run.expect(several.allSatisfy { $0 == nil }, "get of several keys returned an expired entry")
        try await run.committed([.check(run.key("check absent"), .absent)])
        let rejected: [StoreWrite] = [
            .check(run.key("check present"), .present),
            .put(run.key("put present"), [2], .never, if: .present),
            .put(run.key("put version"), [2], .never, if: version("put version")),
            .delete(run.key("delete present"), if: .present),
            .delete(run.key("delete version"), if: version("delete version")),
            .touch(run.key("touch"), .never, if: .present),
        ]
        for write in rejected {
            let current = try await run.conflicting([write])
            try run.expect(current == nil, "an expired entry conflicted with \(write)")
        }
        let touched = try await run.committed([.touch(run.key("touch any"), .never, if: .any)])
        try run.expect(touched, is: [nil], "the touch of an expired entry")
        try await run.expect(run.key("touch any"), holds: nil, "after the touch of an expired entry")
        try await run.put(run.key("keep"), [2], .keep)
        let kept = try await run.expect(
            run.key("keep"),
            holds: [2],
            "after a put that keeps the expiry of an expired entry"
        )
        try run.expect(
            kept?.remaining,
            is: nil,
            "the remaining life after a put that keeps the expiry of an absent entry"
        )
        let window = try await run.store.update([(run.key("update"), update)])
        try run.expect(window.isApplied, "an update continued from an expired entry")
        let page = try await run.store.scan(StoreKey(ConformanceRun.keyspace), after: nil, limit: 100)
        // While time passes, the entry of the update can expire before the scan.
        let found = page.entries.map(\.key).filter { run.isExact || $0 != run.key("update") }
        let expected = run.isExact ? [run.key("keep"), run.key("update")].sorted() : [run.key("keep")]
        try run.expect(found.sorted(), is: expected, "a scan")
    }

    private static func createOnExpired(_ run: ConformanceRun) async throws {
        for round in 1...3 {
            let key = run.key("claimed")
            let version = try await run.put(key, [UInt8(round)], .after(.milliseconds(50)), if: .absent)
            if run.isExact {
                let current = try await run.conflicting([.put(key, [99], .never, if: .absent)])
                try run.expect(current?.version, is: version, "the version in the conflict of a second claim")
            }
            try await run.advance(.milliseconds(51))
        }
        // The first create succeeds, and the second create fails.
        let key = run.key("claimed")
        try await run.put(key, [4], .after(.seconds(60)), if: .absent)
        let current = try await run.conflicting([.put(key, [5], .never, if: .absent)])
        try run.expect(current?.value, is: [4], "the value in the conflict of a second claim")
    }

    private static func keepsExpiry(_ run: ConformanceRun) async throws {
        let (kept, ended, prolonged, never) = (
            run.key("kept"), run.key("ended"), run.key("prolonged"), run.key("never")
        )
        for key in [kept, prolonged] { try await run.put(key, [1], .after(.seconds(2))) }
        for key in [ended, never] { try await run.put(key, [1]) }
        try await run.advance(.seconds(1))
        try await run.put(kept, [2], .keep)
        try await run.put(ended, [2], .after(.seconds(1)))
        try await run.put(prolonged, [2])
        try await run.put(never, [2], .keep)
        // Each write of a commit has its own expiry.
        let together = ["first", "endless", "long", "last"].map { run.key("together", $0) }
        let lives: [Expiry] = [.after(.seconds(1)), .never, .after(.seconds(3600)), .after(.seconds(1))]
        for order in [Array(zip(together, lives)), zip(together, lives).reversed()] {
            try await run.committed(order.map { .put($0, [1], $1, if: .any) })
        }
        if run.isExact {
            let remaining = try await run.expect(kept, holds: [2], "before its end")?.remaining ?? .zero
            try run.expect(
                remaining > .zero && remaining <= .milliseconds(1001),
                "an entry with a kept second has \(remaining) left"
            )
            try await run.committed([.touch(kept, .keep, if: .present)])
            try run.expect(
                try await run.store.get(kept)?.remaining,
                is: remaining,
                "the remaining life after a touch that keeps the expiry"
            )
        }
        try await run.advance(.milliseconds(1002))
        let left = try await run.read(together)
        try run.expect(
            left.map { $0 != nil },
            is: [false, true, true, false],
            "the existence of the entries of a commit after 1 s"
        )
        let isEnding = left.map { $0?.remaining != nil }
        try run.expect(
            isEnding,
            is: [false, false, true, false],
            "the existence of an expiry in the entries of a commit after 1 s"
        )
        try await run.expect(kept, holds: nil, "after the end that a put kept")
        try await run.expect(ended, holds: nil, "after the end that a put set")
        try await run.expect(prolonged, holds: [2], "after the end that a put removed")
        try await run.expect(never, holds: [2], "after a put that kept no expiry")
    }

    private static func touchCountsFromNow(_ run: ConformanceRun) async throws {
        let (longer, shorter, endless, removed) = (
            run.key("longer"), run.key("shorter"), run.key("endless"), run.key("removed")
        )
        try await run.put(longer, [1], .after(.seconds(2)))
        try await run.put(shorter, [1], .after(.seconds(3600)))
        try await run.put(endless, [1])
        try await run.put(removed, [1], .after(.seconds(2)))
        try await run.advance(.seconds(1))
        for key in [longer, endless] { try await run.committed([.touch(key, .after(.seconds(3)), if: .present)]) }
        try await run.committed([
            .touch(shorter, .after(.seconds(1)), if: .present), .touch(removed, .never, if: .present),
        ])
        try await run.advance(.milliseconds(1002))
        try await run.expect(shorter, holds: nil, "after a touch shortened its life")
        try await run.expect(longer, holds: [1], "after a touch prolonged its life")
        try await run.expect(removed, holds: [1], "after a touch removed its expiry")
        try await run.advance(.milliseconds(2000))
        // Three seconds after the touch. Counted from the old end, the life would be four seconds.
        try await run.expect(longer, holds: nil, "three seconds after a touch for three seconds")
        try await run.expect(endless, holds: nil, "three seconds after a touch for three seconds")
    }

    /// Returns updates that are each allowed once in this time.
    ///
    /// The interval of the GCRA update is at most a century, because a store's clock must be able to express the
    /// interval.
    private static func longUpdates(
        _ run: ConformanceRun,
        _ index: Int,
        _ life: Duration
    ) -> [(key: StoreKey, update: AtomicUpdate)] {
        [
            (run.key("count", "\(index)"), .add(1, within: 0...1, expiry: life)),
            (run.key("window", "\(index)"), .fixedWindow(length: life, limit: 1, cost: 1)),
            (run.key("rate", "\(index)"), .gcra(interval: min(life, .seconds(100 * 365 * 86_400)), burst: 1, cost: 1)),
        ]
    }

    private static func extremeExpiries(_ run: ConformanceRun) async throws {
        let far: [Duration] = [
            .seconds(Int64.max), .nanoseconds(Int64.max), .milliseconds(Int64.max), .seconds(1e19),
            Duration(attoseconds: .max), .seconds(100 * 365 * 86_400), .seconds(30 * 86_400),
        ]
        for (index, life) in far.enumerated() {
            let key = run.key("far", "\(index)")
            try await run.put(key, [1], .after(life))
            try await run.committed([.touch(key, .after(life), if: .present)])
            let made = try await run.store.update(longUpdates(run, index, life))
            try run.expect(made.isApplied, "the first updates for \(life) were denied")
        }
        let gone = run.key("gone")
        try await run.put(gone, [1], .after(Duration(attoseconds: .min)))
        try await run.advance(.seconds(10))
        for (index, life) in far.enumerated() {
            try await run.expect(run.key("far", "\(index)"), holds: [1], "10 s into a life of \(life)")
            let again = try await run.store.update(longUpdates(run, index, life))
            let allowed = again.decisions.map(\.isAllowed)
            try run.expect(allowed, is: [false, false, false], "the decisions of second updates, 10 s into \(life)")
        }
        try await run.expect(gone, holds: nil, "10 s after a put with an extreme negative life")
    }
}
