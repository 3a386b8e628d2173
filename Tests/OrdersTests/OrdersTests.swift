import Foundation
import Testing

@Suite("orders", .serialized)
struct OrdersTests {
    let fixture: OrdersFixture

    init() throws { fixture = try OrdersFixture() }

    /// Expects that every accepted order is charged once and shipped once.
    private func expectAgreement(_ answers: [OrdersFixture.Answer], sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let charges = try fixture.charges().filter { !$0.repeat }
        let shipments = try fixture.shipments().filter { !$0.repeat }
        let charged = charges.map(\.orderId)
        let shipped = shipments.map(\.orderId)
        let accepted = Set(answers.filter(\.isAccepted).compactMap(\.orderId))
        #expect(!accepted.isEmpty, sourceLocation: sourceLocation)
        #expect(Set(charged).count == charged.count, "charged twice", sourceLocation: sourceLocation)
        #expect(Set(shipped).count == shipped.count, "shipped twice", sourceLocation: sourceLocation)
        #expect(Set(charged) == Set(shipped), "charged and shipped differ", sourceLocation: sourceLocation)
        #expect(accepted.subtracting(charged).isEmpty, "accepted and not charged", sourceLocation: sourceLocation)
    }

    @Test("without faults every order is answered, charged once and shipped once, and nothing is repeated")
    func withoutFaults() async throws {
        let run = try await fixture.run(["--faults", "0", "--count", "200"])
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.line).sorted() == Array(1...200))
        try expectAgreement(run.lines)
        #expect(try fixture.charges().allSatisfy { !$0.repeat })
        #expect(try fixture.shipments().allSatisfy { !$0.repeat })
        let accepted = Set(run.lines.filter(\.isAccepted).compactMap(\.orderId))
        #expect(Set(try fixture.charges().map(\.orderId)) == accepted)
    }

    @Test("with faults nine of ten valid orders are executed immediately, and all are charged and shipped once")
    func withFaults() async throws {
        let run = try await fixture.run(["--count", "300", "--seed", "3"])
        #expect(run.exitCode == 0, "\(run.errors)")
        try expectAgreement(run.lines)
        let executed = run.lines.count { $0.outcome == "executed" }
        let valid = Set(run.lines.filter { ![400, 429].contains($0.status) }.compactMap(\.orderId))
        #expect(executed * 10 >= valid.count * 9, "\(executed) of \(valid.count)")
        let accepted = Set(run.lines.filter(\.isAccepted).compactMap(\.orderId))
        #expect(Set(try fixture.charges().map(\.orderId)) == accepted, "a rejected order was charged")
    }

    @Test("after kills and restarts every accepted order is charged once and shipped once")
    func killed() async throws {
        var answers: [OrdersFixture.Answer] = []
        var generator = LineGenerator(seed: 11)
        for _ in 0..<6 {
            let run = try await fixture.run(
                ["--count", "250", "--seed", "5"],
                signal: (SIGKILL, generator.next(in: 1...230))
            )
            answers += run.lines
        }
        let final = try await fixture.run(["--input", "/dev/null"])
        #expect(final.exitCode == 0, "\(final.errors)")
        #expect(final.lines.isEmpty)
        try expectAgreement(answers)

        // The same orders again: an accepted order stays accepted and is not charged again.
        let before = try fixture.charges().count { !$0.repeat }
        let again = try await fixture.run(["--count", "250", "--seed", "5", "--faults", "0"])
        #expect(again.exitCode == 0, "\(again.errors)")
        let accepted = Set(answers.filter(\.isAccepted).compactMap(\.orderId))
        let rejected = again.lines.filter { !$0.isAccepted && $0.error?.code != "in_progress" }.compactMap(\.orderId)
        #expect(accepted.intersection(rejected).isEmpty, "accepted once and rejected later")
        let replayed = again.lines.filter { accepted.contains($0.orderId ?? "") && $0.isAccepted }
        #expect(replayed.allSatisfy { $0.status == 201 && $0.outcome == "replayed" })
        #expect(try fixture.charges().count { !$0.repeat } >= before)
        try expectAgreement(answers + again.lines)
    }

    @Test("SIGTERM ends the run with exit code 0 and loses no answered order")
    func terminated() async throws {
        let run = try await fixture.run(["--count", "2000", "--seed", "9"], signal: (SIGTERM, 100))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.count >= 100 && run.lines.count < 2000)
        let rest = try await fixture.run(["--input", "/dev/null", "--faults", "0"])
        #expect(rest.exitCode == 0, "\(rest.errors)")
        try expectAgreement(run.lines)
    }

    @Test("SIGTERM ends the run with exit code 0 while lines of a file are waiting", arguments: [1, 40, 90, 135])
    func terminatedWithLinesLeft(afterLines: Int) async throws {
        let input = lines((1...200).map { order(id: id($0), email: "c\($0)@example.com", key: "key") })
        let run = try await fixture.run(["--concurrency", "4"], input: input, signal: (SIGTERM, afterLines))
        #expect(run.exitCode == 0, "\(run.errors)")
    }

    @Test("a ledger that cannot be read ends the run with an error")
    func damagedLedger() async throws {
        try Data("no entry\n".utf8).write(to: URL(fileURLWithPath: fixture.data + "/charges.ndjson"))
        let run = try await fixture.run(["--faults", "0"], input: lines([order()]))
        #expect(run.exitCode == 2)
        #expect(run.lines.isEmpty)
    }

    @Test("after kills every charge has the amount of its order, and no invalid order is charged")
    func amounts() async throws {
        // The amount of an order follows from its number, and every tenth order is invalid.
        let input = lines(
            (1...120).map {
                order(
                    id: id($0),
                    email: "c\($0)@example.com",
                    quantity: $0.isMultiple(of: 10) ? "0" : "2",
                    price: "\($0)"
                )
            }
        )
        var generator = LineGenerator(seed: 3)
        var answers: [OrdersFixture.Answer] = []
        for _ in 0..<3 {
            answers += try await fixture.run([], input: input, signal: (SIGKILL, generator.next(in: 1...110))).lines
        }
        answers += try await fixture.run(["--faults", "0"], input: input).lines
        try expectAgreement(answers)
        let charges = try fixture.charges().filter { !$0.repeat }
        let expected = (1...120).filter { !$0.isMultiple(of: 10) }
        #expect(Set(charges.map(\.orderId)) == Set(expected.map(id)))
        #expect(charges.allSatisfy { $0.orderId == id(Int($0.amountCents / 2)) })
    }

    @Test("when every call fails, the breaker rejects calls to the gateway, and the exit code is 1")
    func allFaults() async throws {
        let run = try await fixture.run(["--faults", "1", "--count", "300", "--concurrency", "64"])
        #expect(run.exitCode == 1)
        #expect(try fixture.gatewayCalls < 300)
        #expect(run.lines.count == 300)
        // After the gateway recovers, every order that may have been charged is settled.
        let rest = try await fixture.run(["--input", "/dev/null", "--faults", "0"])
        #expect(rest.exitCode == 0, "\(rest.errors)")
        try expectAgreement(run.lines)
    }

    @Test("a repeated order is replayed regardless of its layout, and another body under its key is 422")
    func duplicates() async throws {
        let spaced = order().replacingOccurrences(of: ":", with: " : ").replacingOccurrences(of: "ada@", with: "ADA@")
        let first = try await fixture.run(["--faults", "0"], input: lines([order()]))
        let second = try await fixture.run(
            ["--faults", "0", "--concurrency", "1"],
            input: lines([spaced.replacingOccurrences(of: "key-1", with: "key-1"), order(quantity: "3")])
        )
        #expect(first.lines.map(\.status) == [201] && first.lines.map(\.outcome) == ["executed"])
        #expect(second.lines.map(\.status) == [201, 422])
        #expect(second.lines.map(\.outcome) == ["replayed", "rejected"])
        #expect(second.lines.last?.error?.code == "idempotency_key_reused")
        #expect(try fixture.charges().map(\.amountCents) == [3998])
    }

    @Test("a pending order is 202 for its own body and 422 for another body, also simultaneously")
    func pendingDuplicates() async throws {
        let first = try await fixture.run(["--faults", "1"], input: lines([order()]), signal: (SIGTERM, 1))
        #expect(first.lines.map(\.status) == [202])
        let bodies = (1...200).map { $0.isMultiple(of: 2) ? order() : order(quantity: "3") }
        let run = try await fixture.run(["--faults", "1"], input: lines(bodies), signal: (SIGTERM, 200))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.count == 200)
        #expect(run.lines.allSatisfy { $0.status == ($0.line.isMultiple(of: 2) ? 202 : 422) })
    }

    @Test("an order_id of another customer or key is 409 and is not charged")
    func takenIDs() async throws {
        let run = try await fixture.run(
            ["--faults", "0", "--concurrency", "1"],
            input: lines([order(), order(key: "key-2"), order(email: "bob@example.com")])
        )
        #expect(run.lines.map(\.status) == [201, 409, 409])
        #expect(run.lines.last?.error?.code == "order_id_taken")
        #expect(try fixture.charges().count == 1)
    }

    @Test("keys of different bytes are different, even if the strings are canonically equivalent")
    func equivalentKeys() async throws {
        let input = lines([
            order(id: id(1), key: "caf\u{E9}"), order(id: id(2), key: "cafe\u{301}", quantity: "3"),
        ])
        let run = try await fixture.run(["--faults", "0", "--concurrency", "1"], input: input)
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.status) == [201, 201])
        #expect(try fixture.charges().map(\.amountCents) == [3998, 5997])
        #expect(try fixture.charges().allSatisfy { !$0.repeat })
    }

    @Test("an order that the gateway charged with another amount stays pending")
    func otherAmount() async throws {
        let ledger = #"{"order_id":"\#(id(1))","key":"15:ada@example.comkey-1","amount_cents":1,"repeat":false}"# + "\n"
        try Data(ledger.utf8).write(to: URL(fileURLWithPath: fixture.data + "/charges.ndjson"))
        let run = try await fixture.run(["--faults", "0"], input: lines([order()]), signal: (SIGTERM, 1))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.status) == [202])
        #expect(try fixture.shipments().isEmpty)
    }

    @Test("of simultaneous equal orders one is executed, and the others are in progress or replayed")
    func simultaneous() async throws {
        let run = try await fixture.run(["--faults", "0"], input: lines(Array(repeating: order(), count: 20)))
        #expect(run.lines.count { $0.outcome == "executed" } == 1)
        #expect(run.lines.allSatisfy { $0.status == 201 || $0.error?.code == "in_progress" })
        #expect(try fixture.charges().count == 1)
    }

    @Test("orders above the rate limit are 429 and are not charged")
    func rateLimit() async throws {
        let orders = (1...6).map { order(id: id($0), key: "key-\($0)") } + [order(id: id(7), email: "bob@example.com")]
        let run = try await fixture.run(["--faults", "0", "--rate", "4"], input: lines(orders))
        #expect(run.lines.count { $0.status == 201 } == 5)
        #expect(
            run.lines.filter { $0.status == 429 }.compactMap(\.error?.code)
                == Array(repeating: "rate_limit.exceeded", count: 2)
        )
        #expect(try fixture.charges().count == 5)
    }

    @Test("invalid input gets an error response, and the next order is executed")
    func badInput() async throws {
        var input = Data()
        let bad: [(bytes: Data, status: Int)] = [
            (Data("no json".utf8), 400),
            (Data(), 400),
            (Data(repeating: 0x5B, count: 60_000), 400),
            (Data(repeating: 0x5B, count: 100_000), 413),
            (Data(repeating: 0x78, count: 10_000_000), 413),
            (Data(order(extra: #","order_id":"\#(id(1))""#).utf8), 400),
            (Data(order(extra: #","surprise":1"#).utf8), 400),
            (Data([0xEF, 0xBB, 0xBF]) + Data(order().utf8), 400),
            (Data([0x22, 0xFF, 0x22]), 400),
            (Data([0x22, 0x00, 0x22]), 400),
            (Data(order(quantity: "1e3").utf8), 400),
            (Data(order(quantity: "0").utf8), 400),
            (Data(order(quantity: "1001").utf8), 400),
            (Data(order(quantity: "99999999999999999999999999").utf8), 400),
            (Data(order(quantity: "\"2\"").utf8), 400),
            (Data(order(price: "100000001").utf8), 400),
            (Data(order(price: "-1").utf8), 400),
            (Data(order(email: "nobody").utf8), 400),
            (Data(order(id: "1").utf8), 400),
        ]
        for (number, (bytes, _)) in bad.enumerated() {
            input += bytes + Data("\n".utf8)
            input += Data((order(id: id(number), key: "key-\(number)") + "\n").utf8)
        }
        let run = try await fixture.run(["--faults", "0", "--rate", "1000"], input: input)
        #expect(run.exitCode == 0, "\(run.errors)")
        let answers = run.lines.sorted { $0.line < $1.line }
        #expect(answers.count == 2 * bad.count)
        for (number, (bytes, status)) in bad.enumerated() where answers.count == 2 * bad.count {
            let rejected = answers[2 * number]
            #expect(rejected.status == status, "\(String(decoding: bytes.prefix(300), as: UTF8.self))")
            #expect(rejected.error?.requestId.isEmpty == false)
            #expect(rejected.error?.details.isEmpty == (status == 413))
            #expect(answers[2 * number + 1].status == 201)
        }
        #expect(try fixture.charges().count == bad.count)
    }

    @Test(
        "invalid usage prints one line and exits with code 2",
        arguments: [
            ["--count"], ["--count", "many"], ["--faults", "2"], ["--what"], ["--input", "/does/not/exist"],
            ["--input", "/"], ["--redis", "http://localhost"], ["--redis", "redis://a", "--postgres", "postgres://b"],
            // Without the trait every URL is rejected, and with the trait this one.
            ["--postgres", "secret"],
        ]
    )
    func usage(arguments: [String]) async throws {
        let run = try await fixture.run(arguments)
        #expect(run.exitCode == 2)
        #expect(run.lines.isEmpty)
        #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
        #expect(!run.errors.contains("secret"))
    }
}

/// A generator of line numbers from a seed.
private struct LineGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next(in range: ClosedRange<Int>) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return range.lowerBound + Int((state >> 33) % UInt64(range.count))
    }
}
