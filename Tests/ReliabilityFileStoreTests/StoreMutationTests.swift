import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityFileStore

@Suite("StoreMutation")
struct StoreMutationTests {
    @Test("mutations are read as they were written")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 9)
        for _ in 0..<500 {
            func bytes(_ limit: Int) -> [UInt8] {
                (0..<Int.random(in: 0...limit, using: &generator)).map { _ in .random(in: 0...255, using: &generator) }
            }
            func number() -> Int64 { .random(in: .min ... .max, using: &generator) }
            let version = UInt64.random(in: 0..<versionLimit, using: &generator)
            let key = StoreKey("k", bytes: [bytes(300)])
            let record = StoredRecord(
                queue: "q\u{301}",
                id: "ü",
                payload: bytes(300),
                version: version,
                attempts: Int.random(in: 0 ... .max, using: &generator),
                dueAt: number(),
                isLeased: Bool.random(using: &generator),
                deadLetterReason: nil
            )
            var dead = record
            dead.isLeased = false
            dead.deadLetterReason = "no"
            let mutations: [StoreMutation] = [
                .put(key, StoredEntry(value: bytes(300), version: version, expiresAt: nil)),
                .put(key, StoredEntry(value: bytes(3), version: version, expiresAt: number())),
                .remove(key), .putRecord(record), .putRecord(dead), .removeRecord(queue: "q", id: "ü"),
            ]
            var encoded: [UInt8] = []
            for mutation in mutations { encoded.append(mutation: mutation) }
            var reader = ByteReader(encoded, 0..<encoded.count)
            #expect(try reader.mutations() == mutations)
        }
    }
}
