import Testing

@testable import ReliabilityFileStore

@Suite("CRC32C")
struct CRC32CTests {
    @Test("the checksums match the vectors of RFC 3720")
    func vectors() {
        func checksum(_ bytes: [UInt8]) -> UInt32 {
            var checksum = CRC32C()
            checksum.add(bytes, 0..<bytes.count)
            return checksum.value
        }
        // RFC 3720, appendix B.4.
        #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(checksum((0..<32).map { $0 }) == 0x46DD_794E)
        #expect(checksum((0..<32).reversed().map { $0 }) == 0x113F_DB5C)
        // The checksum of pieces is the checksum of the whole.
        var pieces = CRC32C()
        let bytes = (0..<100).map { UInt8($0) }
        pieces.add(bytes, 0..<3)
        pieces.add(bytes, 3..<64)
        pieces.add(bytes, 64..<100)
        #expect(pieces.value == checksum(bytes))
    }
}
