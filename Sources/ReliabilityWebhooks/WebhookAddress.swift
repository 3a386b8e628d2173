/// The address of a host in version 4 or 6 of the Internet Protocol.
public struct WebhookAddress: Hashable, Sendable, CustomStringConvertible {
    /// The kind of an address.
    @nonexhaustive
    public enum Kind: Hashable, Sendable {
        /// An address that can be reached over the internet.
        case global
        /// An address of the same system.
        case loopback
        /// An address in a private network or in the network of a provider.
        case privateNetwork
        /// An address of a directly connected network, such as the metadata service of a cloud.
        case linkLocal
        /// An address for several systems, for documentation, for translations or without an assigned use.
        case reserved
    }

    /// The 4 or 16 bytes of the address.
    public let bytes: [UInt8]

    /// Creates an address, or returns `nil` if there are not 4 or 16 bytes.
    ///
    /// - Parameter bytes: The bytes in network order.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Creates an address from its canonical text, or returns `nil` for any other text.
    ///
    /// The canonical text is four decimal numbers without leading zeros, or the form of RFC 5952.
    ///
    /// - Parameter text: The text, without brackets and without a zone.
    public init?(_ text: String) {
        guard text.utf8.count <= 45 else { return nil }
        let text = Array(text.utf8)
        guard let bytes = text.contains(UInt8(ascii: ":")) ? Self.parse6(text) : Self.parse4(text[...]) else {
            return nil
        }
        self.bytes = bytes
        if Array(description.utf8) != text { return nil }
    }

    /// The canonical text.
    public var description: String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        if let mapped { return "::ffff:\(mapped)" }
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        func text(_ groups: some Sequence<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        // The first of the longest runs of at least two zeros is left out.
        var longest = 0..<1
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > longest.count { longest = start..<end }
            start = end + 1
        }
        if longest.count < 2 { return text(groups) }
        return "\(text(groups[..<longest.lowerBound]))::\(text(groups[longest.upperBound...]))"
    }

    /// The kind of the address.
    ///
    /// An address of version 4 that is mapped to version 6 has the kind of its version 4.
    public var kind: Kind {
        if bytes.count == 4 { return kind4 }
        if let mapped { return mapped.kind }
        if bytes == Array(repeating: 0, count: 15) + [1] { return .loopback }
        if isIn([0xfe, 0x80], 10) { return .linkLocal }
        if isIn([0xfc], 7) { return .privateNetwork }
        // RFC 4291: every other address outside of 2000::/3 is reserved, is a multicast address or holds an address of
        // version 4.
        guard isIn([0x20], 3) else { return .reserved }
        let reserved: [([UInt8], Int)] = [
            ([0x20, 0x01, 0x00], 23), ([0x20, 0x01, 0x0d, 0xb8], 32), ([0x20, 0x02], 16), ([0x3f, 0xff, 0x00], 20),
        ]
        return reserved.contains { isIn($0.0, $0.1) } ? .reserved : .global
    }

    private var kind4: Kind {
        if bytes[0] == 127 { return .loopback }
        if isIn([169, 254], 16) { return .linkLocal }
        let privateNetworks: [([UInt8], Int)] = [([10], 8), ([100, 64], 10), ([172, 16], 12), ([192, 168], 16)]
        if privateNetworks.contains(where: { isIn($0.0, $0.1) }) { return .privateNetwork }
        // The registry of special addresses (RFC 6890), multicast and the future use of 240/4.
        let reserved: [([UInt8], Int)] = [
            ([0], 8), ([192, 0, 0], 24), ([192, 0, 2], 24), ([192, 88, 99], 24), ([198, 18], 15), ([198, 51, 100], 24),
            ([203, 0, 113], 24), ([224], 3),
        ]
        return reserved.contains { isIn($0.0, $0.1) } ? .reserved : .global
    }

    /// The address of version 4 that is mapped to version 6, or `nil` if there is none.
    private var mapped: WebhookAddress? {
        let prefix = Array(repeating: UInt8(0), count: 10) + [0xff, 0xff]
        return bytes.starts(with: prefix) ? WebhookAddress(Array(bytes.dropFirst(12))) : nil
    }

    /// Returns whether the first bits of the address are the first bits of a prefix.
    private func isIn(_ prefix: [UInt8], _ bits: Int) -> Bool {
        (0..<bits).allSatisfy { bit in
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            return bytes[bit / 8] & mask == prefix[bit / 8] & mask
        }
    }

    private static func parse4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in part.count <= 3 ? number(part, radix: 10, max: 255) : nil }
        return parts.count == 4 && numbers.count == 4 ? numbers.map { UInt8($0) } : nil
    }

    private static func parse6(_ text: [UInt8]) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        let gap = zip(text.indices, text.indices.dropFirst()).first { text[$0.0] == colon && text[$0.1] == colon }
        guard let gap else {
            let bytes = groups(text[...])
            return bytes?.count == 16 ? bytes : nil
        }
        guard let head = groups(text[..<gap.0]), let tail = groups(text[(gap.1 + 1)...]),
            head.count + tail.count <= 14
        else { return nil }
        return head + Array(repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    /// Returns the bytes of groups, of which the last can be an address of version 4.
    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let last = parse4(part) else { return nil }
                bytes += last
            } else {
                guard part.count <= 4, let group = number(part, radix: 16, max: 0xffff) else { return nil }
                bytes += [UInt8(group >> 8), UInt8(group & 0xff)]
            }
        }
        return bytes
    }

    private static func number(_ digits: ArraySlice<UInt8>, radix: Int, max: Int) -> Int? {
        guard digits.allSatisfy(\.isASCIILetterOrDigit) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: radix).flatMap { $0 <= max ? $0 : nil }
    }
}
