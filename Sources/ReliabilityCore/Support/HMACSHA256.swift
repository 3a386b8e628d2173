/// The message authentication code HMAC of RFC 2104 with SHA-256.
package struct HMACSHA256: Sendable {
    private let inner: SHA256
    private let outer: SHA256

    /// Creates the function of a key of any length.
    package init(key: [UInt8]) {
        var block = key.count > 64 ? SHA256.digest(key) : key
        block.append(contentsOf: repeatElement(0, count: 64 - block.count))
        var (inner, outer) = (SHA256(), SHA256())
        inner.update(block.map { $0 ^ 0x36 })
        outer.update(block.map { $0 ^ 0x5c })
        (self.inner, self.outer) = (inner, outer)
    }

    /// Returns the 32-byte code of a message whose parts follow one another.
    package func code(for parts: [[UInt8]]) -> [UInt8] {
        var (inner, outer) = (inner, outer)
        for part in parts { inner.update(part) }
        outer.update(inner.digest())
        return outer.digest()
    }
}

/// Returns whether two arrays are equal, in a time that depends on their lengths only.
package func equalInConstantTime(_ first: [UInt8], _ second: [UInt8]) -> Bool {
    guard first.count == second.count else { return false }
    var difference: UInt8 = 0
    for index in first.indices { difference |= first[index] ^ second[index] }
    return difference == 0
}
