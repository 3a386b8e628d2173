import ReliabilityStore
import Testing

@testable import ReliabilityCache

@Suite("KnownTags")
struct KnownTagsTests {
    @Test("C1: an answer from before the records were dropped does not hide a later invalidation")
    func dropped() {
        let keys = TierKeys(keyspace: "numbers")
        var tags = KnownTags(capacity: 2)
        let epoch = tags.epoch
        // The answer to a read of "a" is under way while the process invalidates "a".
        tags.set(keys.tag("a"), StoreVersion(rawValue: 5), readAt: 1)
        tags.set(keys.tag("b"), nil, readAt: 1, since: tags.epoch)
        tags.set(keys.tag("c"), nil, readAt: 1, since: tags.epoch)
        tags.set(keys.tag("a"), nil, readAt: 0, since: epoch)
        #expect(tags.missing([keys.tag("a"), keys.tag("c")], now: 1, maxAge: 10) == [keys.tag("a")])
        #expect(!tags.check([keys.tag("a")], start: StoreVersion(rawValue: 4), now: 1).isValid)
        tags.set(keys.tag("a"), StoreVersion(rawValue: 5), readAt: 2, since: tags.epoch)
        #expect(!tags.check([keys.tag("a")], start: StoreVersion(rawValue: 4), now: 2).isValid)
        #expect(tags.check([keys.tag("a")], start: StoreVersion(rawValue: 6), now: 2).isValid)
    }
}
