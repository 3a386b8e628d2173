import Foundation
import Testing

@Suite("The order desk", .serialized)
struct OrdersTests {
    let desk: Desk

    init() throws { desk = try Desk() }

    /// What was answered and what really happened agree: every accepted order is charged once and shipped once.
    private func expectAgreement(_ answers: [Desk.Answer], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let charges = try desk.charges().filter { !$0.repeat }
        let shipments = try desk.shipments().filter { !$0.repeat }
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
    func calm() async throws {
        let run = try await desk.run(["--faults", "0", "--count", "200"])
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.line).sorted() == Array(1...200))
        try expectAgreement(run.lines)
        #expect(try desk.charges().allSatisfy { !$0.repeat })
        #expect(try desk.shipments().allSatisfy { !$0.repeat })
        let accepted = Set(run.lines.filter(\.isAccepted).compactMap(\.orderId))
        #expect(Set(try desk.charges().map(\.orderId)) == accepted)
    }

    @Test("with faults at least nine of ten valid orders are executed at once, and all are charged and shipped once")
    func rough() async throws {
        let run = try await desk.run(["--count", "300", "--seed", "3"])
        #expect(run.exitCode == 0, "\(run.errors)")
        try expectAgreement(run.lines)
        let executed = run.lines.count { $0.outcome == "executed" }
        let valid = Set(run.lines.filter { ![400, 429].contains($0.status) }.compactMap(\.orderId))
        #expect(executed * 10 >= valid.count * 9, "\(executed) of \(valid.count)")
        let accepted = Set(run.lines.filter(\.isAccepted).compactMap(\.orderId))
        #expect(Set(try desk.charges().map(\.orderId)) == accepted, "a refused order was charged")
    }

    @Test("killed at any moment and started again, every accepted order is charged once and shipped once")
    func killed() async throws {
        var answers: [Desk.Answer] = []
        var generator = SeededLines(seed: 11)
        for _ in 0..<6 {
            let run = try await desk.run(
                ["--count", "250", "--seed", "5"],
                signal: (SIGKILL, generator.next(in: 1...230))
            )
            answers += run.lines
        }
        let final = try await desk.run(["--input", "/dev/null"])
        #expect(final.exitCode == 0, "\(final.errors)")
        #expect(final.lines.isEmpty)
        try expectAgreement(answers)

        // The same orders again: what was accepted once is accepted for ever, and costs nothing more.
        let before = try desk.charges().count { !$0.repeat }
        let again = try await desk.run(["--count", "250", "--seed", "5", "--faults", "0"])
        #expect(again.exitCode == 0, "\(again.errors)")
        let accepted = Set(answers.filter(\.isAccepted).compactMap(\.orderId))
        let refused = again.lines.filter { !$0.isAccepted && $0.error?.code != "in_progress" }.compactMap(\.orderId)
        #expect(accepted.intersection(refused).isEmpty, "accepted once and refused later")
        let replayed = again.lines.filter { accepted.contains($0.orderId ?? "") && $0.isAccepted }
        #expect(replayed.allSatisfy { $0.status == 201 && $0.outcome == "replayed" })
        #expect(try desk.charges().count { !$0.repeat } >= before)
        try expectAgreement(answers + again.lines)
    }

    @Test("SIGTERM ends the run with 0, and nothing that was answered is lost")
    func terminated() async throws {
        let run = try await desk.run(["--count", "2000", "--seed", "9"], signal: (SIGTERM, 100))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.count >= 100 && run.lines.count < 2000)
        let rest = try await desk.run(["--input", "/dev/null", "--faults", "0"])
        #expect(rest.exitCode == 0, "\(rest.errors)")
        try expectAgreement(run.lines)
    }

    @Test("SIGTERM ends the run with 0 also while lines of a file wait to be taken", arguments: [1, 40, 90, 135])
    func terminatedWithLinesLeft(afterLines: Int) async throws {
        let input = lines((1...200).map { order(id: id($0), email: "c\($0)@example.com", key: "key") })
        let run = try await desk.run(["--concurrency", "4"], input: input, signal: (SIGTERM, afterLines))
        #expect(run.exitCode == 0, "\(run.errors)")
    }

    @Test("a ledger that cannot be read is an error, not a charge forgotten")
    func damagedLedger() async throws {
        try Data("no entry\n".utf8).write(to: URL(fileURLWithPath: desk.data + "/charges.ndjson"))
        let run = try await desk.run(["--faults", "0"], input: lines([order()]))
        #expect(run.exitCode == 2)
        #expect(run.lines.isEmpty)
    }

    @Test("killed at any moment, every order that is charged is charged its own amount, and an invalid one never")
    func amounts() async throws {
        // An order's amount follows from its number; every tenth is invalid.
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
        var generator = SeededLines(seed: 3)
        var answers: [Desk.Answer] = []
        for _ in 0..<3 {
            answers += try await desk.run([], input: input, signal: (SIGKILL, generator.next(in: 1...110))).lines
        }
        answers += try await desk.run(["--faults", "0"], input: input).lines
        try expectAgreement(answers)
        let charges = try desk.charges().filter { !$0.repeat }
        let expected = (1...120).filter { !$0.isMultiple(of: 10) }
        #expect(Set(charges.map(\.orderId)) == Set(expected.map(id)))
        #expect(charges.allSatisfy { $0.orderId == id(Int($0.amountCents / 2)) })
    }

    @Test("when everything fails, the breaker keeps most calls from the gateway, and the exit code says what is open")
    func allFaults() async throws {
        let run = try await desk.run(["--faults", "1", "--count", "300", "--concurrency", "64"])
        #expect(run.exitCode == 1)
        #expect(try desk.gatewayCalls < 300)
        #expect(run.lines.count == 300)
        // Nothing is lost by it: once the gateway is back, every order that may have been charged is settled.
        let rest = try await desk.run(["--input", "/dev/null", "--faults", "0"])
        #expect(rest.exitCode == 0, "\(rest.errors)")
        try expectAgreement(run.lines)
    }

    @Test("the same order again is replayed, whatever its layout; another body under its key is 422")
    func duplicates() async throws {
        let spaced = order().replacingOccurrences(of: ":", with: " : ").replacingOccurrences(of: "ada@", with: "ADA@")
        let first = try await desk.run(["--faults", "0"], input: lines([order()]))
        let second = try await desk.run(
            ["--faults", "0", "--concurrency", "1"],
            input: lines([spaced.replacingOccurrences(of: "key-1", with: "key-1"), order(quantity: "3")])
        )
        #expect(first.lines.map(\.status) == [201] && first.lines.map(\.outcome) == ["executed"])
        #expect(second.lines.map(\.status) == [201, 422])
        #expect(second.lines.map(\.outcome) == ["replayed", "rejected"])
        #expect(second.lines.last?.error?.code == "idempotency_key_reused")
        #expect(try desk.charges().map(\.amountCents) == [3998])
    }

    @Test("a pending order is 202 to its own body and 422 to another, also when both come at the same time and often")
    func pendingDuplicates() async throws {
        let first = try await desk.run(["--faults", "1"], input: lines([order()]), signal: (SIGTERM, 1))
        #expect(first.lines.map(\.status) == [202])
        let bodies = (1...200).map { $0.isMultiple(of: 2) ? order() : order(quantity: "3") }
        let run = try await desk.run(["--faults", "1"], input: lines(bodies), signal: (SIGTERM, 200))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.count == 200)
        #expect(run.lines.allSatisfy { $0.status == ($0.line.isMultiple(of: 2) ? 202 : 422) })
    }

    @Test("an order_id that another customer or key has taken is 409, and is not charged")
    func takenIDs() async throws {
        let run = try await desk.run(
            ["--faults", "0", "--concurrency", "1"],
            input: lines([order(), order(key: "key-2"), order(email: "bob@example.com")])
        )
        #expect(run.lines.map(\.status) == [201, 409, 409])
        #expect(run.lines.last?.error?.code == "order_id_taken")
        #expect(try desk.charges().count == 1)
    }

    @Test("keys of other bytes are other keys, although Unicode holds the strings to be equal")
    func equivalentKeys() async throws {
        let input = lines([
            order(id: id(1), key: "caf\u{E9}"), order(id: id(2), key: "cafe\u{301}", quantity: "3"),
        ])
        let run = try await desk.run(["--faults", "0", "--concurrency", "1"], input: input)
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.status) == [201, 201])
        #expect(try desk.charges().map(\.amountCents) == [3998, 5997])
        #expect(try desk.charges().allSatisfy { !$0.repeat })
    }

    @Test("a gateway that booked another amount is no crash: the order stays pending")
    func otherAmount() async throws {
        let ledger = #"{"order_id":"\#(id(1))","key":"15:ada@example.comkey-1","amount_cents":1,"repeat":false}"# + "\n"
        try Data(ledger.utf8).write(to: URL(fileURLWithPath: desk.data + "/charges.ndjson"))
        let run = try await desk.run(["--faults", "0"], input: lines([order()]), signal: (SIGTERM, 1))
        #expect(run.exitCode == 0, "\(run.errors)")
        #expect(run.lines.map(\.status) == [202])
        #expect(try desk.shipments().isEmpty)
    }

    @Test("equal orders at the same time: one is executed, the others are in progress or replayed")
    func simultaneous() async throws {
        let run = try await desk.run(["--faults", "0"], input: lines(Array(repeating: order(), count: 20)))
        #expect(run.lines.count { $0.outcome == "executed" } == 1)
        #expect(run.lines.allSatisfy { $0.status == 201 || $0.error?.code == "in_progress" })
        #expect(try desk.charges().count == 1)
    }

    @Test("orders over the limit are 429 with the contract's body, and are not charged")
    func rateLimit() async throws {
        let orders = (1...6).map { order(id: id($0), key: "key-\($0)") } + [order(id: id(7), email: "bob@example.com")]
        let run = try await desk.run(["--faults", "0", "--rate", "4"], input: lines(orders))
        #expect(run.lines.count { $0.status == 201 } == 5)
        #expect(
            run.lines.filter { $0.status == 429 }.compactMap(\.error?.code)
                == Array(repeating: "rate_limit.exceeded", count: 2)
        )
        #expect(try desk.charges().count == 5)
    }

    @Test("bad input is an answer, and the next order is served")
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
        let run = try await desk.run(["--faults", "0", "--rate", "1000"], input: input)
        #expect(run.exitCode == 0, "\(run.errors)")
        let answers = run.lines.sorted { $0.line < $1.line }
        #expect(answers.count == 2 * bad.count)
        for (number, (bytes, status)) in bad.enumerated() where answers.count == 2 * bad.count {
            let refused = answers[2 * number]
            #expect(refused.status == status, "\(String(decoding: bytes.prefix(300), as: UTF8.self))")
            #expect(refused.error?.requestId.isEmpty == false)
            #expect(refused.error?.details.isEmpty == (status == 413))
            #expect(answers[2 * number + 1].status == 201)
        }
        #expect(try desk.charges().count == bad.count)
    }

    @Test(
        "bad usage is one clear line and exit code 2",
        arguments: [
            ["--count"], ["--count", "many"], ["--faults", "2"], ["--what"], ["--input", "/does/not/exist"],
            ["--input", "/"],
        ]
    )
    func usage(arguments: [String]) async throws {
        let run = try await desk.run(arguments)
        #expect(run.exitCode == 2)
        #expect(run.lines.isEmpty)
        #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
    }
}

/// Numbers that a seed determines.
private struct SeededLines {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next(in range: ClosedRange<Int>) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return range.lowerBound + Int((state >> 33) % UInt64(range.count))
    }
}
