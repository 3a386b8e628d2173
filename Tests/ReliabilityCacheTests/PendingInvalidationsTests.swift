import ReliabilityStore
import Testing

@testable import ReliabilityCache

@Suite("PendingInvalidations")
struct PendingInvalidationsTests {
    static let keys = TierKeys(keyspace: "numbers")
    static func key(_ number: Int) -> InvalidationTarget { .key(keys.place(["\(number)"])) }
    let all = InvalidationTarget.all(keys.generation)
    var pending = PendingInvalidations(limit: 3, generation: keys.generation)

    @Test("a confirmation does not remove the invalidation of a later call")
    mutating func renewed() {
        let first = pending.begin(Self.key(1))
        let second = pending.begin(Self.key(1))
        let answer1 = pending.confirm([first])
        #expect(!answer1)
        #expect(pending.blocks(Self.key(1)))
        let isLast = pending.confirm([second])
        #expect(isLast)
        #expect(!pending.blocks(Self.key(1)))
        let answer2 = pending.confirm([second])
        #expect(!answer2)
    }

    @Test("C8: beyond the limit, everything is blocked until the generation is confirmed")
    mutating func overflow() {
        let items = (1...3).map { pending.begin(Self.key($0)) }
        #expect(!pending.blocks(Self.key(9)))
        _ = pending.begin(Self.key(3))
        #expect(pending.count == 3)
        _ = pending.begin(Self.key(4))
        #expect(pending.count == 1)
        #expect(pending.blocks(Self.key(9)))
        let answer3 = pending.confirm(items)
        #expect(!answer3)
        #expect(pending.blocks(Self.key(1)))
        let answer4 = pending.startRepeating()
        #expect(answer4)
        let repeated = pending.nextItems(maxWrites: 10)
        #expect(repeated.map(\.target) == [all])
        let isLast = pending.confirm(repeated)
        #expect(isLast)
        #expect(!pending.blocks(Self.key(9)))
    }

    @Test("only one task repeats, within the number of writes, until no failed write is left")
    mutating func repeating() {
        let items = (1...3).map { pending.begin(Self.key($0)) }
        let answer5 = pending.startRepeating()
        #expect(!answer5)
        pending.fail(Array(items.prefix(2)))
        let answer6 = pending.startRepeating()
        #expect(answer6)
        let answer7 = pending.startRepeating()
        #expect(!answer7)
        // A key needs two writes.
        let next = pending.nextItems(maxWrites: 3)
        #expect(next.count == 1)
        _ = pending.confirm(next)
        _ = pending.confirm(pending.nextItems(maxWrites: 3))
        let rest = pending.nextItems(maxWrites: 3)
        #expect(rest.isEmpty)
        pending.fail([items[2]])
        let answer8 = pending.startRepeating()
        #expect(answer8)
    }
}
