import Reliability
import Testing

@Suite("Deduplicator: fingerprint of a parsed request")
struct DeduplicatorFingerprintTests {
    private struct Payment {
        let cents: Int
        let note: String

        init(_ json: JSONReader) throws {
            let cents = json.integer("amount_cents", in: 1...1_000_000)
            let note = json.string("note", bytes: 0...100)
            (self.cents, self.note) = try (cents.value, note.value)
        }
    }

    /// Receives a body with a key, and charges once for each key.
    nonisolated(nonsending) private func receive(
        _ body: String,
        _ dedup: Deduplicator,
        charge: (Payment) -> Void
    ) async throws -> Bool {
        let (payment, fingerprint) = try Validator().parse(body.utf8) { json in
            (try Payment(json), json.canonicalBytes())
        }
        return try await dedup.run("charge", ["customer-1", "key-1"], fingerprint: fingerprint) { _ in
            charge(payment)
            return [UInt8]()
        }.isReplay
    }

    @Test("a request in another notation has the same fingerprint, and a request with other content does not")
    func sentAgain() async throws {
        let dedup = Deduplicator(
            .replay(retention: .seconds(60)),
            keyspace: "charges",
            store: InMemoryStore(),
            storeFailure: .failClosed()
        )
        var charged = 0
        #expect(
            try await receive(#"{"amount_cents":1500,"note":"caf\u00e9/1"}"#, dedup) { charged += $0.cents } == false
        )
        for body in [
            #"{"amount_cents":1500,"note":"caf\u00e9/1"}"#, #"{"note":"café\/1","amount_cents":1500}"#,
            "{\n  \"note\" : \"café/1\",\r\n\t\"amount_cents\" : 1500\n}\n",
        ] {
            #expect(try await receive(body, dedup) { charged += $0.cents })
        }
        for body in [#"{"amount_cents":1501,"note":"café/1"}"#, #"{"amount_cents":1500,"note":"cafe\u0301/1"}"#] {
            let error = await #expect(throws: DedupError.self) {
                try await receive(body, dedup) { charged += $0.cents }
            }
            #expect(error?.reason == .mismatch)
        }
        #expect(charged == 1500)
    }
}
