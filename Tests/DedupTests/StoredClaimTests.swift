import ReliabilityCore
import ReliabilityStore
import Testing

@testable import Dedup

@Suite("StoredClaim")
struct StoredClaimTests {
    @Test("a record without its result is as large as its claim", arguments: [nil, ClaimFixture.digest])
    func sizeWithoutResult(digest: [UInt8]?) {
        let claim = StoredClaim(
            state: .inProgress,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: digest
        )
        var done = StoredClaim(
            state: .done,
            id: ClaimFixture.mine,
            retentionMilliseconds: ClaimFixture.retention,
            digest: digest
        )
        done.result = [UInt8](repeating: 1, count: 1000)
        #expect(done.withoutResult?.bytes.count == claim.bytes.count)
        #expect(done.withoutResult?.withoutResult == nil)
    }

    @Test("a record is read as it was written")
    func roundTrip() {
        for entry in ClaimFixture.entries.dropFirst() {
            #expect(StoredClaim(entry.value)?.bytes == entry.value)
        }
    }

    @Test("arbitrary bytes do not trap, and a record that is read is written the same")
    func arbitraryBytes() {
        for length in 0..<70 {
            for first in [0, 1, 2, 3, 255] as [UInt8] {
                for state in [0, 1, 3, 4] as [UInt8] {
                    for hasDigest in [0, 1, 2] as [UInt8] {
                        let bytes = Array(
                            ([first, state, hasDigest] + [UInt8](repeating: 5, count: 67)).prefix(length)
                        )
                        if let record = StoredClaim(bytes) { #expect(record.bytes == bytes) }
                    }
                }
            }
        }
    }

    @Test("the format of a record does not change")
    func format() {
        let id = (0..<16).map { UInt8($0) }
        for digest in [nil, ClaimFixture.digest] {
            var record = StoredClaim(
                state: .done,
                id: ClaimID(bytes: id),
                retentionMilliseconds: 0x0102_0304_0506_0708,
                digest: digest
            )
            record.result = [42, 43]
            let expected = [2, 2, digest == nil ? 0 : 1] + id + [1, 2, 3, 4, 5, 6, 7, 8] + (digest ?? []) + [42, 43]
            #expect(record.bytes == expected && record.byteCount == expected.count)
        }
    }
}
