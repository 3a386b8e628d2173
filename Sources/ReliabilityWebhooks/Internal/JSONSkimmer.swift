internal import Validation

/// Reads texts of a JSON object and skips every other value without a check.
///
/// A provider signs the texts of its users. A null character, a lone surrogate or a repeated key in another value must
/// not hide the identity and the type of a message.
struct JSONSkimmer {
    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Returns the text at a path of keys, or `nil` if there is no text of 1 to `maxBytes` bytes.
    ///
    /// A path with a key that its object repeats has no text.
    func text(at path: [String], maxBytes: Int) -> String? {
        var index = afterSpace(0)
        for key in path {
            guard let value = member(key, ofObjectAt: index) else { return nil }
            index = value
        }
        guard let end = endOfString(at: index) else { return nil }
        return decoded(bytes[index..<end], maxBytes)
    }

    /// Returns the index of the value of a key, or `nil` if the object does not have the key once.
    private func member(_ key: String, ofObjectAt start: Int) -> Int? {
        guard byte(start) == UInt8(ascii: "{") else { return nil }
        var found: Int?
        var separator = start
        repeat {
            let name = afterSpace(separator + 1)
            guard let nameEnd = endOfString(at: name) else { return nil }
            let colon = afterSpace(nameEnd)
            guard byte(colon) == UInt8(ascii: ":") else { return nil }
            let value = afterSpace(colon + 1)
            if isText(bytes[name..<nameEnd], key) {
                if found != nil { return nil }
                found = value
            }
            guard let end = endOfValue(at: value) else { return nil }
            separator = afterSpace(end)
        } while byte(separator) == UInt8(ascii: ",")
        return byte(separator) == UInt8(ascii: "}") ? found : nil
    }

    private func isText(_ token: ArraySlice<UInt8>, _ text: String) -> Bool {
        let count = text.utf8.count
        if token.contains(Self.backslash) {
            return decoded(token, max(1, count))?.utf8.elementsEqual(text.utf8) ?? false
        }
        return token.count == count + 2 && token.dropFirst().dropLast().elementsEqual(text.utf8)
    }

    /// Returns the text of a JSON string, or `nil` if the string is not valid or not of 1 to `maxBytes` bytes.
    private func decoded(_ token: ArraySlice<UInt8>, _ maxBytes: Int) -> String? {
        // The longest escape of a byte has six bytes.
        if token.count > 6 * maxBytes + 2 { return nil }
        let object = Array(#"{"text":"#.utf8) + token + Array("}".utf8)
        return try? Validator().parse(object) { try $0.string("text", bytes: 1...maxBytes).value }
    }

    private func byte(_ index: Int) -> UInt8? { index < bytes.count ? bytes[index] : nil }

    private func afterSpace(_ start: Int) -> Int {
        var index = start
        while let byte = byte(index), [0x20, 0x09, 0x0a, 0x0d].contains(byte) { index += 1 }
        return index
    }

    private func endOfString(at start: Int) -> Int? {
        guard byte(start) == Self.quote else { return nil }
        var index = start + 1
        while let byte = byte(index) {
            if byte == Self.quote { return index + 1 }
            index += byte == Self.backslash ? 2 : 1
        }
        return nil
    }

    private func endOfValue(at start: Int) -> Int? {
        var (index, depth) = (start, 0)
        repeat {
            guard let byte = byte(index) else { return nil }
            switch byte {
            case Self.quote:
                guard let end = endOfString(at: index) else { return nil }
                index = end
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            case _ where depth > 0: break
            default:
                let end = bytes[index...].firstIndex { " \t\r\n,:{}[]\"".utf8.contains($0) } ?? bytes.count
                return end > start ? end : nil
            }
            index += 1
        } while depth > 0
        return depth == 0 ? index : nil
    }
}
