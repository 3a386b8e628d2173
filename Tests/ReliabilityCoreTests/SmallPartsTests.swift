import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("FailureGate")
struct FailureGateTests {
    /// The same, said differently: what happened, in order.
    private struct Model {
        var failuresInARow = 0
        var lastFailureOrProbe = Int64.min / 2

        mutating func admit(_ now: Int64) -> Bool {
            if failuresInARow < 2 { return true }
            // Also after the clock went back: nobody waits longer than the interval.
            let since = now - lastFailureOrProbe
            guard since >= 10 || since < 0 else { return false }
            lastFailureOrProbe = now
            return true
        }
    }

    @Test("every sequence of six events is judged as by a simple model")
    func exhaustive() {
        enum Event: CaseIterable { case success, failure, ignored, wait, longWait, back, ask }
        func explore(_ gate: FailureGate, _ model: Model, _ now: Int64, _ depth: Int) {
            for event in Event.allCases {
                var (gate, model, now) = (gate, model, now)
                switch event {
                case .success:
                    gate.record(.success, now: now)
                    model.failuresInARow = 0
                case .failure:
                    gate.record(.failure, now: now)
                    model.failuresInARow += 1
                    if model.failuresInARow >= 2 { model.lastFailureOrProbe = now }
                case .ignored: gate.record(.ignored, now: now)
                case .wait: now += 6
                case .longWait: now += 10
                case .back: now -= 7
                case .ask:
                    let wait = gate.admit(now: now)
                    #expect((wait == nil) == model.admit(now))
                    if let wait { #expect((1...10).contains(wait)) }
                }
                if depth < 6 { explore(gate, model, now, depth + 1) }
            }
        }
        explore(FailureGate(threshold: 2, interval: .nanoseconds(10)), Model(), 1000, 1)
    }

    @Test("at the edges of time it neither traps nor stays shut")
    func extremes() {
        var gate = FailureGate(threshold: 1, interval: .seconds(1))
        for now in [Int64.max, .min, 0, .max] {
            gate.record(.failure, now: now)
            _ = gate.admit(now: now)
            #expect(gate.admit(now: now.saturatingAdd(1_000_000_000)) == nil)
        }
    }
}

@Suite("CorrelationID")
struct CorrelationIDTests {
    @Test("exactly letters, digits, point, underscore and hyphen are accepted, byte by byte")
    func bytes() {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-".utf8)
        for byte in UInt8.min..<0x80 {
            let text = "a" + String(decoding: [byte], as: UTF8.self) + "a"
            #expect((CorrelationID(text) != nil) == allowed.contains(byte), "byte \(byte)")
        }
        for text in ["\u{E9}", "a\u{301}", "\u{FF21}", "\u{212A}", "\u{1F602}"] { #expect(CorrelationID(text) == nil) }
    }

    @Test(
        "a text that is no name of a file on every system is refused",
        arguments: [
            ".", "..", "...", ".htaccess", ".a", "a.", "a..", "CON", "con", "nul", "Nul", "NUL.txt", "aux.a.b", "PRN",
            "COM1", "com9", "Com0", "LPT1", "lpt9.log", "CONIN$", "a/b", "../a", "a\\b", "C:a", "a\0b", "~", "*", "a b",
        ]
    )
    func fileNames(_ text: String) {
        #expect(CorrelationID(text) == nil)
    }

    @Test(
        "a point within, and what only resembles the name of a device, is accepted",
        arguments: [
            "a.b", "1.2.3", "a..b", "console", "con1", "com", "com10", "lpt", "lpta", "nul_", "-a", "_", "a-con",
            "a.nul",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "auxiliary.1",
        ]
    )
    func likelyNames(_ text: String) {
        #expect(CorrelationID(text)?.description == text)
    }

    @Test("1 to 128 bytes are accepted")
    func length() {
        #expect(CorrelationID("") == nil)
        #expect(CorrelationID("a")?.description == "a")
        #expect(CorrelationID(String(repeating: "a", count: 128)) != nil)
        #expect(CorrelationID(String(repeating: "a", count: 129)) == nil)
    }

    @Test("a random one has 32 hexadecimal digits and is accepted")
    func random() {
        let ids = (0..<1000).map { _ in CorrelationID.random() }
        #expect(Set(ids).count == 1000)
        for id in ids {
            #expect(id.description.utf8.count == 32)
            #expect(id.description.utf8.allSatisfy("0123456789abcdef".utf8.contains))
            #expect(CorrelationID(id.description) == id)
        }
    }

    @Test("it holds in the operation and its child tasks, and not outside; the innermost one counts")
    func scope() async throws {
        let outer = try #require(CorrelationID("outer"))
        let inner = try #require(CorrelationID("inner"))
        #expect(CorrelationID.current == nil)
        await withCorrelationID(outer) {
            #expect(CorrelationID.current == outer)
            await withCorrelationID(inner) {
                #expect(await Task { CorrelationID.current }.value == inner)
            }
            #expect(CorrelationID.current == outer)
        }
        #expect(CorrelationID.current == nil)
    }
}

@Suite("RandomSource")
struct RandomSourceTests {
    /// A generator that always says the same.
    private struct Constant: RandomNumberGenerator {
        let bits: UInt64
        func next() -> UInt64 { bits }
    }

    @Test("a number is from zero to the bound, which it reaches")
    func bounds() {
        for upper in [Int64.max, .max - 1, 1 << 62, 1000, 2, 1, 0, -1, .min] {
            let least = RandomSource(Constant(bits: 0)).next(upTo: upper)
            let most = RandomSource(Constant(bits: .max)).next(upTo: upper)
            #expect(least == 0)
            #expect(most == max(0, upper))
            let random = RandomSource(SeededGenerator(seed: 3))
            for _ in 0..<100 { #expect((0...max(0, upper)).contains(random.next(upTo: upper))) }
        }
    }

    @Test("every number comes about equally often")
    func uniform() {
        let random = RandomSource(SeededGenerator(seed: 5))
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[Int(random.next(upTo: 6))] += 1 }
        #expect(counts.allSatisfy { (9_500...10_500).contains($0) })
    }

    @Test("a seed decides the numbers, also of many tasks together")
    func seeded() async {
        func draw() async -> [Int64] {
            let random = RandomSource(SeededGenerator(seed: 7))
            return await withTaskGroup { group in
                for _ in 0..<100 { group.addTask { random.next(upTo: .max) } }
                return await group.reduce(into: []) { $0.append($1) }.sorted()
            }
        }
        #expect(await draw() == draw())
    }

    @Test("the system's generator is not constant")
    func system() {
        let random = RandomSource(SystemRandomNumberGenerator())
        #expect(Set((0..<100).map { _ in random.next(upTo: .max) }).count > 90)
    }
}

@Suite("Outcome")
struct OutcomeTests {
    private struct Refusal: ReliabilityError {
        var code: ErrorCode { "test.refusal" }
        var category: ErrorCategory { .unavailable }
        var message: String { "Refused." }
        var isRejection: Bool
    }

    @Test("what is thrown says nothing about a dependency when the caller was cancelled or a policy refused")
    func ofThrown() async {
        #expect(Outcome.ofThrown(Refusal(isRejection: false), wasCancelled: false) == .failure)
        #expect(Outcome.ofThrown(Refusal(isRejection: true), wasCancelled: false) == .ignored)
        // Not by the error's type: this caller was not cancelled.
        #expect(Outcome.ofThrown(CancellationError(), wasCancelled: false) == .failure)
        let cancelled = Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            return Outcome.ofThrown(Refusal(isRejection: false), wasCancelled: false)
        }
        #expect(await cancelled.value == .ignored)
    }
}

@Suite("Lock")
struct LockTests {
    @Test("a thousand tasks that change a value under a lock lose nothing")
    func exclusive() async {
        let lock = CountUnderLock()
        await withTaskGroup { group in
            for _ in 0..<1000 { group.addTask { lock.add() } }
        }
        #expect(lock.count.withLock { $0 } == 1000)
    }

    private final class CountUnderLock: Sendable {
        let count = Lock(0)
        func add() { count.withLock { $0 += 1 } }
    }

    @Test("what is thrown under a lock releases it")
    func throwing() {
        let lock = Lock(1)
        #expect(throws: CancellationError.self) { try lock.withLock { _ in throw CancellationError() } }
        #expect(lock.withLock { $0 } == 1)
    }
}
