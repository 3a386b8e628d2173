#if LibPQ
import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite("Updates in SQL", .serialized, .timeLimit(.minutes(5)), .enabled(if: PostgresServer.programs != nil))
struct ParityTests {
    private struct Case {
        let update: AtomicUpdate
        let state: [UInt8]?
        let clock: Int64
    }

    private func number(_ random: inout SeededGenerator) -> Int64 {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: [.min, .min + 1, -1, 0, 1, .max - 1, .max].randomElement(using: &random) ?? 0
        case 1: Int64.random(in: -10...10, using: &random)
        case 2: Int64.random(in: .min ... .max, using: &random)
        default: Int64.random(in: 0...100_000_000_000, using: &random)
        }
    }

    private func makeCase(_ random: inout SeededGenerator) -> Case {
        let length = Duration.nanoseconds(number(&random))
        let (first, second) = (number(&random), number(&random))
        let update: AtomicUpdate =
            switch Int.random(in: 0..<3, using: &random) {
            case 0: .add(number(&random), within: min(first, second)...max(first, second), expiry: length)
            case 1: .gcra(interval: length, burst: Int(first), cost: Int(second))
            default: .fixedWindow(length: length, limit: Int(first), cost: Int(second))
            }
        let clocks: [Int64] = [1_790_000_000_000_000, 0, 1, .max / 1000]
        let clock = clocks.randomElement(using: &random) ?? 0
        let tag = Bool.random(using: &random) ? UInt8(update.arguments.kind) : UInt8.random(in: 0...4, using: &random)
        // Ends near the present, and any other number.
        let end =
            Bool.random(using: &random)
            ? clock.saturatingMultiply(1000).saturatingAdd(number(&random)) : number(&random)
        let state = [tag] + Array(bigEndian: number(&random)) + Array(bigEndian: end)
        return Case(update: update, state: Int.random(in: 0..<5, using: &random) == 0 ? nil : state, clock: clock)
    }

    @Test("N12: versions, ends and 64-bit counters are exact", arguments: 1...4 as ClosedRange<UInt64>)
    func parity(seed: UInt64) async throws {
        let fixture = try await StoreFixture()
        var random = SeededGenerator(seed: seed)
        let cases = (0..<5000).map { _ in makeCase(&random) }
        let arguments = cases.map(\.update.arguments)
        let rows = try await fixture.admin.run(
            """
            SELECT d.o_allowed, d.o_state, d.o_ends
            FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[])
              WITH ORDINALITY AS c (kind, a, b, c, life, state, clock, n)
            CROSS JOIN LATERAL \(fixture.schema).decide_v1(c.kind, c.a, c.b, c.c, c.life, nullif(c.state, ''), c.clock) d
            ORDER BY c.n
            """,
            [
                .int2Array(arguments.map(\.kind)), .int8Array(arguments.map(\.a)), .int8Array(arguments.map(\.b)),
                .int8Array(arguments.map(\.c)), .int8Array(arguments.map(\.life)),
                .bytesArray(cases.map { $0.state ?? [] }), .int8Array(cases.map(\.clock)),
            ]
        )
        try #require(rows.count == cases.count)
        for (row, item) in zip(rows, cases) {
            let now = item.clock.saturatingMultiply(1000)
            let expected = item.update.apply(to: item.state, now: now)
            #expect(row[0] == [expected.decision.isAllowed ? 1 : 0], "\(item) of seed \(seed)")
            #expect(row[1] == expected.value, "\(item) of seed \(seed)")
            guard expected.value != nil, let ends = row[2]?.integer(Int64.self) else { continue }
            let end = now.saturatingAdd(expected.expiresAfter.saturatingNanoseconds)
            // At the end of time, the sum of the definition saturates.
            #expect(
                end == .max || ends == end / 1000 + (end % 1000 > 0 ? 1 : 0) || end < 0,
                "\(item) of seed \(seed)"
            )
        }
        try await fixture.close()
    }

    @Test("N12: a counter of a store passes the largest number without a loss")
    func counters() async throws {
        try await withStore { store, fixture in
            let key = StoreKey("n12")
            let big = AtomicUpdate.add(.max - 3, within: .min ... .max, expiry: .seconds(60))
            let small = AtomicUpdate.add(3, within: .min ... .max, expiry: .seconds(60))
            #expect(try await store.update(key, big).remaining == .max - 3)
            #expect(try await store.update(key, small).remaining == .max)
            let denied = try await store.update(key, small)
            #expect(!denied.isAllowed && denied.remaining == .max)
        }
    }
}
#endif
