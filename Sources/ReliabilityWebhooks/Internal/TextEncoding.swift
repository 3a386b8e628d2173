internal import ReliabilityCore

/// Returns the SHA-256 of parts, each after its length, in lower-case hexadecimal digits.
///
/// The digest of a single part is the digest of the part alone.
func digestText(of parts: [[UInt8]]) -> String {
    var hash = SHA256()
    if parts.count == 1 {
        hash.update(parts[0])
    } else {
        for part in parts {
            hash.update((0..<8).map { UInt8(truncatingIfNeeded: UInt64(part.count) >> (56 - 8 * $0)) })
            hash.update(part)
        }
    }
    return hexadecimalText(of: hash.digest())
}

/// Returns bytes in lower-case hexadecimal digits.
func hexadecimalText(of bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// Returns bytes in the base 64 of RFC 4648 §4 with padding.
func base64Text(of bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
        for index in 0..<4 {
            text.append(index <= group.count ? digits[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}

/// Returns the bytes of a hexadecimal text in upper or lower case, or `nil` if the text is not hexadecimal.
func decodeHexadecimal(_ text: some Collection<UInt8>) -> [UInt8]? {
    func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
    guard text.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for character in text {
        guard let value = digit(character) else { return nil }
        if let first = high {
            bytes.append(first << 4 | value)
            high = nil
        } else {
            high = value
        }
    }
    return bytes
}

/// Returns the bytes of a text in the base 64 of RFC 4648 §4 with padding, or `nil` if the text has another form.
func decodeBase64(_ text: some Collection<UInt8>) -> [UInt8]? {
    func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
    guard text.count.isMultiple(of: 4) else { return nil }
    let digits = text.prefix { $0 != UInt8(ascii: "=") }
    let padding = text.count - digits.count
    guard padding <= 2, text.dropFirst(digits.count).allSatisfy({ $0 == UInt8(ascii: "=") }) else { return nil }
    var bytes: [UInt8] = []
    var (bits, count) = (UInt32(0), 0)
    for character in digits {
        guard let value = digit(character) else { return nil }
        bits = bits << 6 | value
        count += 6
        if count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        bits &= (1 << UInt32(count)) - 1
    }
    // The bits after the last byte are zero, so that each value has one text.
    return bits == 0 ? bytes : nil
}
