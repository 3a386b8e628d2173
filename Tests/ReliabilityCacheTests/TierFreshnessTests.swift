import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import ReliabilityCache

@Suite("TieredCache: ages, tags and marks")
struct TierFreshnessTests {
    let fixture = TierFixture()
    let source = Source()

    @Test("C27, C28: a copy ends with the value in the store, whose age is what the store says remains")
    func copyEnds() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        #expect(try await first.value(for: 1) == 1)
        source.value = 2
        fixture.clock.stall(for: .seconds(97))
        // Three seconds remain, and a copy lives five seconds.
        #expect(try await second.value(for: 1) == 1)
        fixture.clock.stall(for: .milliseconds(2900))
        #expect(try await second.value(for: 1) == 1)
        #expect(second.snapshot.memory.hits == 1)
        fixture.clock.stall(for: .milliseconds(100))
        #expect(second.cached(1) == nil)
        #expect(try await second.value(for: 1) == 2)
    }

    @Test("C27: the clock of the process has no influence on the age of a value in the store")
    func otherClock() async throws {
        let first = fixture.cache(source)
        #expect(try await first.value(for: 1) == 1)
        source.value = 2
        // The process of the second cache has a clock that is a year ahead and goes on by itself.
        let ahead = ManualClock()
        ahead.stall(for: .seconds(365 * 86_400))
        let second = TieredCache<Int, Int>(
            TierFixture.configuration(),
            coding: TierFixture.coding(),
            keyspace: "numbers",
            store: fixture.store,
            storeFailure: .failOpen(),
            clock: ahead
        ) { [source] _ in try await source.load() }
        #expect(try await second.value(for: 1) == 1)
        ahead.stall(for: .seconds(5))
        #expect(try await second.value(for: 1) == 1)
        #expect(second.snapshot.storeHits == 2)
        fixture.clock.stall(for: .seconds(100))
        ahead.stall(for: .seconds(5))
        #expect(try await second.value(for: 1) == 2)
    }

    @Test("C24: at the end of its lifetime, a value in the store is not fresh")
    func boundary() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        #expect(try await first.value(for: 1) == 1)
        source.value = 2
        fixture.clock.stall(for: .seconds(100))
        #expect(try await second.value(for: 1) == 2)
    }

    @Test("a stale value is served during a load in the background, which one process makes")
    func staleWhileRevalidate() async throws {
        let configuration = TierFixture.configuration(staleWhileRevalidate: .seconds(50))
        let (first, second) = (fixture.cache(source, configuration), fixture.cache(source, configuration))
        #expect(try await first.value(for: 1) == 1)
        fixture.clock.stall(for: .seconds(110))
        source.value = 2
        let gate = TaskGate()
        source.gate = gate
        #expect(try await first.value(for: 1) == 1)
        await gate.waitForArrivals(1)
        #expect(try await second.value(for: 1) == 1)
        #expect(second.snapshot.storeStaleHits == 1)
        gate.open()
        while first.snapshot.fills < 2 { await Task.yield() }
        while first.cached(1) != 2 { await Task.yield() }
        #expect(source.loads == 2)
        fixture.clock.stall(for: .seconds(5))
        #expect(try await second.value(for: 1) == 2)
        #expect(source.loads == 2)
        #expect(source.stale == [nil, 1])
    }

    @Test("C17: after a failed load, the stale value is served in all processes until the end of the back-off")
    func staleIfError() async throws {
        let configuration = TierFixture.configuration(staleIfError: .seconds(50))
        let (first, second) = (fixture.cache(source, configuration), fixture.cache(source, configuration))
        #expect(try await first.value(for: 1) == 1)
        fixture.clock.stall(for: .seconds(110))
        source.error = TestError()
        #expect(try await first.value(for: 1) == 1)
        #expect(source.loads == 2)
        #expect(try await second.value(for: 1) == 1)
        #expect(source.loads == 2)
        fixture.clock.stall(for: .seconds(10))
        source.error = nil
        source.value = 2
        #expect(try await second.value(for: 1) == 2)
        #expect(source.loads == 3)
    }

    @Test("C29: a value that another process has invalidated is never served as stale")
    func invalidatedIsNotStale() async throws {
        let configuration = TierFixture.configuration(staleWhileRevalidate: .seconds(50), staleIfError: .seconds(500))
        let (first, second) = (fixture.cache(source, configuration), fixture.cache(source, configuration))
        #expect(try await first.value(for: 1) == 1)
        #expect(try await second.value(for: 1) == 1)
        await first.invalidate(1)
        fixture.clock.stall(for: .seconds(5))
        source.error = TestError()
        await #expect(throws: TestError.self) { try await second.value(for: 1) }
    }

    @Test("C29: a value that is invalidated during a failing load is not served as stale")
    func invalidatedDuringFailingLoad() async throws {
        let configuration = TierFixture.configuration(staleIfError: .seconds(500))
        let (first, second) = (fixture.cache(source, configuration), fixture.cache(source, configuration))
        #expect(try await first.value(for: 1) == 1)
        fixture.clock.stall(for: .seconds(110))
        let gate = TaskGate()
        source.gate = gate
        let read = Task { try await first.value(for: 1) }
        await gate.waitForArrivals(1)
        await second.invalidate(1)
        source.error = TestError()
        gate.open()
        await #expect(throws: TestError.self) { try await read.value }
        #expect(first.cached(1) == nil)
    }

    @Test("an error that is a fault of the request removes the stale value")
    func answerOfSource() async throws {
        let configuration = TierFixture.configuration(staleIfError: .seconds(500))
        let cache = fixture.cache(source, configuration)
        #expect(try await cache.value(for: 1) == 1)
        fixture.clock.stall(for: .seconds(110))
        source.error = TestReliabilityError(.notFound)
        await #expect(throws: TestReliabilityError.self) { try await cache.value(for: 1) }
        while try await fixture.entry(1) != nil { await Task.yield() }
    }

    @Test("C42: the invalidation of a tag is one write, and a hit of the memory costs no call to the store")
    func tagIsOneWrite() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        for key in 0..<20 { #expect(try await first.value(for: key) == 1) }
        source.value = 2
        let before = fixture.store.memory.usage.entries
        let mark = await second.invalidate(tag: "even")
        #expect(mark.isConfirmed)
        #expect(fixture.store.memory.usage.entries == before + 1)
        for key in 0..<20 { #expect(try await second.value(for: key) == (key % 2 == 0 ? 2 : 1)) }
        fixture.store.outage = .reject(.unavailable)
        for key in 0..<20 { #expect(try await second.value(for: key) == (key % 2 == 0 ? 2 : 1)) }
        #expect(second.snapshot.loadsWithoutStore == 0)
        // The other process has copies for one local lifetime.
        fixture.store.outage = nil
        fixture.clock.stall(for: .seconds(5))
        for key in 0..<20 { #expect(try await first.value(for: key) == (key % 2 == 0 ? 2 : 1)) }
        #expect(source.loads == 30)
    }

    @Test("an invalidation of a tag by another process is visible after one local lifetime, whatever was read before")
    func knownTagsAge() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        #expect(try await first.value(for: 0) == 1)
        #expect(try await first.value(for: 2) == 1)
        // The second process knows the tag from now on.
        #expect(try await second.value(for: 0) == 1)
        fixture.clock.stall(for: .seconds(2))
        source.value = 2
        await first.invalidate(tag: "even")
        // The process still trusts its knowledge, so the copy ends with the knowledge.
        #expect(try await second.value(for: 2) == 1)
        fixture.clock.stall(for: .seconds(3))
        #expect(try await second.value(for: 2) == 2)
    }

    @Test("C43: the record of a tag outlives every value whose load began before the invalidation")
    func tagOutlivesValues() async throws {
        var configuration = TierFixture.configuration(staleIfError: .seconds(1000))
        configuration.maxTimeToLive = .seconds(50_000)
        let longest = TieredCache<Int, Int>(
            configuration,
            coding: TierFixture.coding(),
            keyspace: "numbers",
            store: fixture.store,
            storeFailure: .failOpen(),
            clock: fixture.clock
        ) { [source] _, _ in .value(try await source.load(), timeToLive: .seconds(1_000_000), tags: ["even"]) }
        #expect(try await longest.value(for: 0) == 1)
        let life = try #require(try await fixture.entry(0)?.remaining)
        await longest.invalidate(tag: "even")
        let tag = try #require(try await fixture.store.memory.get(TierKeys(keyspace: "numbers").tag("even")))
        #expect(life == .seconds(51_000))
        #expect(try #require(tag.remaining) > life)
    }

    @Test("C45: a read with the mark sees the edit in another process, and readers with the mark share one load")
    func mark() async throws {
        let (first, second) = (fixture.cache(source), fixture.cache(source))
        #expect(try await second.value(for: 1) == 1)
        source.value = 2
        let mark = await first.invalidate(1)
        #expect(try await second.value(for: 1) == 1)
        let cookie = try #require(CacheMark("\(mark)"))
        for _ in 0..<3 { #expect(try await second.value(for: 1, .notOlderThan(cookie)) == 2) }
        #expect(source.loads == 2)
        #expect(try await first.value(for: 1, .notOlderThan(cookie)) == 2)
        #expect(source.loads == 2)
    }

    @Test("C23, C45: a read with a mark does not wait for a lease of its own, also if the stored value is stale")
    func markOfStaleValue() throws {
        try Simulation.run(seed: 1) { simulation in
            let (fixture, source) = (TierFixture(clock: simulation.clock), Source())
            let cache = fixture.cache(source, TierFixture.configuration(staleWhileRevalidate: .seconds(50)))
            _ = try await cache.value(for: 1)
            try await simulation.clock.sleep(for: .seconds(110))
            source.value = 2
            let mark = await cache.invalidate(3)
            let began = simulation.clock.now
            let value = try await cache.value(for: 1, .notOlderThan(mark))
            let took = began.duration(to: simulation.clock.now)
            simulation.expect(value == 2 && source.loads == 2, "the value is \(value)")
            simulation.expect(took == .zero, "the read took \(took)")
        }
    }

    @Test("C45: a mark that is not confirmed, or that the configuration does not accept, reads the source")
    func otherMarks() async throws {
        let cache = fixture.cache(source)
        #expect(try await cache.value(for: 1, .notOlderThan(CacheMark(nil))) == 1)
        #expect(try await cache.value(for: 1, .notOlderThan(CacheMark(nil))) == 1)
        #expect(source.loads == 2)
        let without = fixture.cache(source, TierFixture.configuration(acceptsMarks: false))
        let mark = CacheMark(StoreVersion(rawValue: 1))
        #expect(try await without.value(for: 1) == 1)
        #expect(try await without.value(for: 1, .notOlderThan(mark)) == 1)
        #expect(source.loads == 3)
    }

    @Test("C45: marks of a store that can lose writes are rejected at the creation")
    func losingStore() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = TierFixture(losesWritesOnFailover: true).cache(Source())
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("acceptsMarks of the cache of numbers must be false"))
    }

    @Test("C40: a value that is not readable is a miss with an event, and is replaced")
    func unreadable() async throws {
        let events = EventRecorder<Int>()
        let cache = fixture.cache(source) { event in
            if case .unreadable(let key) = event { events.record(key) }
        }
        #expect(try await cache.value(for: 1) == 1)
        let place = TierKeys(keyspace: "numbers").place(["1"])
        let good = try #require(try await fixture.entry(1)).value
        let other = try #require(CacheRecord(good, schema: 1, key: place.bytes)).bytes(schema: 1, key: [1, 50])
        let bad = [[], [9], Array(good.dropLast()), good + [0], other, Array(good.dropLast()) + [0xFF]]
        for bytes in bad {
            source.value += 1
            fixture.clock.stall(for: .seconds(5))
            _ = try await fixture.store.memory.commit(.put(place.value, bytes, .after(.seconds(50)), if: .any))
            #expect(try await cache.value(for: 1) == source.value)
            #expect(try await fixture.entry(1)?.value != bytes)
        }
        #expect(await events.wait(for: bad.count).count == bad.count)
        let newSchema = fixture.cache(source, schema: 2)
        #expect(try await newSchema.value(for: 1) == source.value)
        #expect(newSchema.snapshot.unreadable == 1)
    }

    @Test("C40: a value that cannot be encoded or is too long costs the store tier only", arguments: [true, false])
    func notShared(_ isTooLong: Bool) async throws {
        let fixture = TierFixture(maxValueBytes: isTooLong ? 30 : nil)
        let events = EventRecorder<Int>()
        let cache = fixture.cache(source) { event in
            if case .notShared(let key, _) = event { events.record(key) }
        }
        source.value = isTooLong ? 1_000_000 : -1
        for _ in 0..<2 { #expect(try await cache.value(for: 1) == source.value) }
        #expect(source.loads == 1)
        #expect(try await fixture.entry(1) == nil)
        #expect(await events.wait(for: 1) == [1])
    }

    @Test("C40: no bytes trap, whatever is flipped or cut")
    func damagedBytes() throws {
        let record = CacheRecord(
            start: StoreVersion(rawValue: 7),
            staleTime: 5,
            version: 9,
            tags: ["a", "b"],
            value: [1, 2, 3]
        )
        let good = record.bytes(schema: 1, key: [1, 2])
        #expect(CacheRecord(good, schema: 1, key: [1, 2]) == record)
        #expect(CacheRecord(good, schema: 2, key: [1, 2]) == nil)
        #expect(CacheRecord(good, schema: 1, key: [1, 3]) == nil)
        for count in good.indices { #expect(CacheRecord(Array(good.prefix(count)), schema: 1, key: [1, 2]) == nil) }
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                _ = CacheRecord(bytes, schema: 1, key: [1, 2])
            }
        }
    }

    @Test("a mark has a text of at most 22 bytes, and other texts are no marks")
    func markText() {
        for version in [0, 1, 42, UInt64.max] {
            let mark = CacheMark(StoreVersion(rawValue: version))
            #expect(mark.description.utf8.count <= 22)
            #expect(CacheMark(mark.description) == mark)
        }
        #expect(CacheMark(CacheMark(nil).description) == CacheMark(nil))
        let hostile = [
            "", "1", "2.5", "1.-1", "1.+1", "1. 1", "1.01", "1.18446744073709551616", "1.99999999999999999999",
            "1.1\u{0}", "1.١", String(repeating: "1", count: 100_000), "1." + String(repeating: "0", count: 100_000),
            "1.1\u{301}",
        ]
        for text in hostile { #expect(CacheMark(text) == nil, "\(text.prefix(30))") }
    }

    @Test("C4: a fill of a lower version than the stale value in the store is not stored")
    func lowerVersion() async throws {
        let version = Lock<UInt64>(5)
        let cache = TieredCache<Int, Int>(
            TierFixture.configuration(staleIfError: .seconds(50)),
            coding: TierFixture.coding(),
            keyspace: "numbers",
            store: fixture.store,
            storeFailure: .failOpen(),
            clock: fixture.clock
        ) { [source] _, _ in .value(try await source.load(), version: version.withLock { $0 }) }
        #expect(try await cache.value(for: 1) == 1)
        let before = try await fixture.entry(1)?.version
        fixture.clock.stall(for: .seconds(110))
        version.withLock { $0 = 4 }
        source.value = 2
        #expect(try await cache.value(for: 1) == 2)
        #expect(cache.cached(1) == nil)
        #expect(try await fixture.entry(1)?.version == before)
        version.withLock { $0 = 6 }
        #expect(try await cache.value(for: 1) == 2)
        #expect(cache.cached(1) == 2)
    }
}
