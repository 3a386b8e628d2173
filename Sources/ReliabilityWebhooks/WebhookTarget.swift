/// The host and the port of a URL.
public struct WebhookTarget: Hashable, Sendable {
    /// A Boolean value that indicates whether the scheme is `https`.
    public let isSecure: Bool
    /// The name of the host in lower case, or the text of its address without brackets.
    public let host: String
    /// The port, which is 443 or 80 if the URL has none.
    public let port: UInt16
    /// The address if the host is an address, or `nil` if the host is a name.
    public let address: WebhookAddress?

    /// Parses a URL.
    ///
    /// Parsers of URLs disagree about unusual texts. Therefore every text that needs an interpretation is malformed.
    init(_ url: String) throws(WebhookAddressPolicy.Rejection) {
        let text = Array(url.utf8.prefix(2049))
        let forbidden = [UInt8(ascii: "\\"), UInt8(ascii: "#"), UInt8(ascii: "\"")]
        guard text.count <= 2048, text.allSatisfy({ (0x21...0x7e).contains($0) && !forbidden.contains($0) }) else {
            throw .malformed
        }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")),
            text[(colon + 1)...].starts(with: Array("//".utf8))
        else { throw .malformed }
        switch String(decoding: text[..<colon], as: UTF8.self).lowercased() {
        case "https": isSecure = true
        case "http": isSecure = false
        default: throw .scheme
        }
        let rest = text[(colon + 3)...]
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        if authority.contains(UInt8(ascii: "@")) { throw .userInformation }
        let isLiteral = authority.first == UInt8(ascii: "[")
        let end =
            isLiteral
            ? authority.firstIndex(of: UInt8(ascii: "]")).map { $0 + 1 }
            : authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
        guard let end, end <= authority.endIndex else { throw .host }
        let name = authority[..<end]
        port = try Self.port(authority[end...], or: isSecure ? 443 : 80)
        if isLiteral {
            let text = String(decoding: name.dropFirst().dropLast(), as: UTF8.self)
            guard let address = WebhookAddress(text), address.bytes.count == 16 else { throw .host }
            (host, self.address) = (text, address)
        } else {
            let text = String(decoding: name, as: UTF8.self)
            address = WebhookAddress(text)
            if address == nil, !Self.isName(name) { throw .host }
            host = text.lowercased()
        }
    }

    private static func port(
        _ text: ArraySlice<UInt8>,
        or standard: UInt16
    ) throws(WebhookAddressPolicy.Rejection) -> UInt16 {
        guard let first = text.first else { return standard }
        let digits = text.dropFirst()
        guard first == UInt8(ascii: ":"), (1...5).contains(digits.count), digits.first != UInt8(ascii: "0"),
            digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(String(decoding: digits, as: UTF8.self))
        else { throw .malformed }
        return port
    }

    /// Returns whether a text is the name of a host.
    ///
    /// A last label that is a number makes the text an address in the URL standard, such as `127.1` and `0x7f000001`.
    private static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        guard (1...253).contains(name.count) else { return false }
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let hyphen = UInt8(ascii: "-")
        let areLabels = labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
                && label.allSatisfy { $0.isASCIILetterOrDigit || $0 == hyphen || $0 == UInt8(ascii: "_") }
        }
        guard areLabels, let last = labels.last else { return false }
        let isHexadecimal =
            last.count >= 2 && last.first == 0x30 && last[last.startIndex + 1] | 0x20 == UInt8(ascii: "x")
        return !isHexadecimal && !last.allSatisfy { (0x30...0x39).contains($0) }
    }
}
