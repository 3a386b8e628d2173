import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("ClaimID")
struct ClaimIDTests {
    @Test("identities of concurrent calls are unique")
    func unique() async {
        let ids = await withTaskGroup(of: [ClaimID].self) { group in
            for _ in 0..<8 { group.addTask { (0..<2000).map { _ in ClaimID.unique() } } }
            return await group.reduce(into: Set<ClaimID>()) { $0.formUnion($1) }
        }
        #expect(ids.count == 16_000)
    }

    @Test("a process that was forked draws other identities than its parent")
    func fork() {
        let process = Lock<Int32>(1)
        let generator = Lock(SeededGenerator(seed: 1))
        let source = ClaimIDSource(process: { process.withLock { $0 } }) {
            let bytes = (0..<16).map { _ in UInt8(truncatingIfNeeded: generator.withLock { $0.next() }) }
            return ClaimID(bytes: bytes)
        }
        let before = source.next()
        #expect(source.next() == before.next)
        // The child has a copy of the state, and the parent continues.
        process.withLock { $0 = 2 }
        let child = (0..<100).map { _ in source.next() }
        let parent = sequence(first: before.next.next) { $0.next }.prefix(100)
        #expect(Set(child + parent).count == 200)
        #expect(child[0].high != before.high)
    }

    @Test("the counter of a process wraps around")
    func wraps() {
        let last = ClaimID(bytes: [UInt8](repeating: 255, count: 16))
        let source = ClaimIDSource(process: { 1 }) { last }
        let ids = [source.next(), source.next()]
        #expect(ids == [last, ClaimID(bytes: [UInt8](repeating: 255, count: 8) + [UInt8](repeating: 0, count: 8))])
    }

    @Test("the seed of a simulation determines the identities")
    func simulated() throws {
        let drawn = EventRecorder<ClaimID>()
        try Simulation.run(seeds: 7..<8) { _ in drawn.record(.unique()) }
        try Simulation.run(seeds: 7..<8) { _ in drawn.record(.unique()) }
        #expect(Set(drawn.events).count == 1)
    }

    @Test("the bytes of an identity are read as they were written")
    func bytes() {
        let id = ClaimID.random()
        var bytes: [UInt8] = []
        id.append(to: &bytes)
        #expect(bytes.count == ClaimID.byteCount && ClaimID(bytes: bytes) == id)
    }
}
