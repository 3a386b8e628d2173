import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import TestSupport
import Testing

@testable import Dedup

@Suite("CompositeKey and DedupOperation")
struct CompositeKeyTests {
    let fixture = DedupFixture()

    @Test("the same key under two operations is two requests")
    func operations() async throws {
        let dedup = fixture.dedup()
        for operation in ["charge", "refund"] as [DedupOperation] {
            let result = try await dedup.run(operation, ["ada", "k1"]) { _ in "\(operation)" }
            #expect(result.value == "\(operation)" && !result.isReplay)
        }
        #expect(try await dedup.run("refund", ["ada", "k1"]) { _ in "again" }.value == "refund")
    }

    @Test("operation names and keys do not collide")
    func boundaries() {
        let keys: [(DedupOperation, CompositeKey)] = [
            ("a", ["bc", "d"]), ("ab", ["c", "d"]), ("a", ["b", "cd"]), ("abc", ["d"]), ("\u{c5}", ["d"]),
            ("A\u{30a}", ["d"]),
        ]
        #expect(Set(keys.map { $1.storeKey(in: "test", $0) }).count == keys.count)
        #expect(DedupOperation("\u{c5}") != DedupOperation("A\u{30a}"))
    }

    @Test("a key can be made from an array")
    func array() {
        let components = (1...3).map { "part \($0)" }
        #expect(CompositeKey(components) == ["part 1", "part 2", "part 3"])
        #expect(CompositeKey(components) == CompositeKey("part 1", "part 2", "part 3"))
        #expect(CompositeKey([String]()).isIncomplete)
    }

    @Test("an operation without a name is rejected")
    func emptyName() async {
        await #expect(processExitsWith: .failure) { _ = DedupOperation("") }
    }

    @Test("every event names its request in one line")
    func events() async throws {
        let dedup = fixture.dedup()
        let key = CompositeKey(["ada", "k\n1\u{202e}\""])
        _ = try await dedup.run("charge", key) { _ in "" }
        _ = try await dedup.run("charge", key) { _ in "" }
        await #expect(throws: TestError.self) { try await dedup.run("refund", key) { _ in throw TestError() } }
        await #expect(throws: DedupError.self) { try await dedup.run("refund", []) { _ in } }
        let requests = await fixture.events.wait(for: 4).map { event in
            switch event {
            case .executed(let request), .replayed(let request), .released(let request), .rejected(let request, _):
                request
            default: DedupRequest("none", [])
            }
        }
        #expect(requests.map(\.operation) == ["charge", "charge", "refund", "refund"])
        #expect(requests.map(\.key) == [key, key, key, []])
        #expect(requests[0].description == #"charge ["ada","k\u000a1\u202e\""]"#)
    }

    @Test("the key in a store is the digest of the store key with the operation and the components")
    func format() {
        let long = String(repeating: "x", count: 300)
        for (operation, key) in [("a", ["b"]), ("charge", ["ada", "", long]), ("\u{c5}", [])] as [(String, [String])] {
            let parts = ([operation] + key).map { Array($0.utf8) }
            let digest = SHA256.digest(StoreKey("test", bytes: parts).encoded)
            let stored = CompositeKey(key).storeKey(in: "test", DedupOperation(operation))
            #expect(stored == StoreKey("test", bytes: [digest]))
        }
    }
}
