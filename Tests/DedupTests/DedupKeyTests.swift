import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import Dedup

@Suite("What a request is known by")
struct DedupKeyTests {
    let bench = Bench()

    @Test("one key under two operations is two requests, with one deduplicator")
    func operations() async throws {
        let dedup = bench.dedup()
        for operation in ["charge", "refund"] as [DedupOperation] {
            let result = try await dedup.run(operation, ["ada", "k1"]) { _ in "\(operation)" }
            #expect(result.value == "\(operation)" && !result.isReplay)
        }
        #expect(try await dedup.run("refund", ["ada", "k1"]) { _ in "again" }.value == "refund")
    }

    @Test("an operation's name never runs into the key")
    func boundaries() {
        let keys: [(DedupOperation, DedupKey)] = [
            ("a", ["bc", "d"]), ("ab", ["c", "d"]), ("a", ["b", "cd"]), ("abc", ["d"]), ("\u{c5}", ["d"]),
            ("A\u{30a}", ["d"]),
        ]
        #expect(Set(keys.map { $1.storeKey(in: "test", $0) }).count == keys.count)
        #expect(DedupOperation("\u{c5}") != DedupOperation("A\u{30a}"))
    }

    @Test("a key can be made from an array at run time")
    func array() {
        let components = (1...3).map { "part \($0)" }
        #expect(DedupKey(components) == ["part 1", "part 2", "part 3"])
        #expect(DedupKey(components) == DedupKey("part 1", "part 2", "part 3"))
        #expect(DedupKey([String]()).isIncomplete)
    }

    @Test("an operation without a name is refused, with the value in the message")
    func emptyName() async {
        await #expect(processExitsWith: .failure) { _ = DedupOperation("") }
    }

    @Test("every event names its request, in one line whatever the key holds")
    func events() async throws {
        let dedup = bench.dedup()
        let key = DedupKey(["ada", "k\n1\u{202e}\""])
        _ = try await dedup.run("charge", key) { _ in "" }
        _ = try await dedup.run("charge", key) { _ in "" }
        await #expect(throws: Flaky.self) { try await dedup.run("refund", key) { _ in throw Flaky() } }
        await #expect(throws: DedupError.self) { try await dedup.run("refund", []) { _ in } }
        let requests = await bench.events.wait(for: 4).map { event in
            switch event {
            case .executed(let request), .replayed(let request), .released(let request), .refused(let request, _):
                request
            default: DedupRequest("none", [])
            }
        }
        #expect(requests.map(\.operation) == ["charge", "charge", "refund", "refund"])
        #expect(requests.map(\.key) == [key, key, key, []])
        #expect(requests[0].description == #"charge ["ada","k\u000a1\u202e\""]"#)
    }
}
