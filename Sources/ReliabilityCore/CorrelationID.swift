/// The identifier that ties together everything done for one request: log lines, error bodies, messages.
///
/// It is 1 to 128 bytes of `A–Z a–z 0–9 . _ -`, with no point at either end, and not the name of a device of Windows, such
/// as `NUL` or `con.txt`. So it is safe in a header and a log line, and as the name of a file on every system.
public struct CorrelationID: Hashable, Sendable, CustomStringConvertible {
    @TaskLocal static var ambient: CorrelationID?

    /// The identifier's text.
    public let description: String

    /// The identifier of the current task, if one was set with ``withCorrelationID(_:operation:)``.
    public static var current: CorrelationID? { ambient }

    /// Accepts an identifier from outside.
    ///
    /// Returns nil when the text is no identifier by the rules of this type: a caller's text never reaches a log
    /// unchecked.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard (1...128).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else { return nil }
        let point = UInt8(ascii: ".")
        if bytes.first == point || bytes.last == point || Self.isDevice(bytes.prefix { $0 != point }) { return nil }
        description = text
    }

    private init(unchecked text: String) { description = text }

    /// Makes a new identifier of 128 random bits, as 32 lower-case hexadecimal digits.
    public static func random() -> CorrelationID { CorrelationID(unchecked: randomHexadecimal(bytes: 16)) }

    /// Whether Windows takes a file of this name, whatever its extension, for a device.
    private static func isDevice(_ name: Substring.UTF8View) -> Bool {
        guard name.count == 3 || name.count == 4 else { return false }
        let letters = name.prefix(3).map { $0 | 0x20 }
        let names = ["con", "prn", "aux", "nul"]
        let numbered = ["com", "lpt"]
        return name.count == 3
            ? names.contains { $0.utf8.elementsEqual(letters) }
            : numbered.contains { $0.utf8.elementsEqual(letters) } && name.last.map(Self.isDigit) == true
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// Runs `operation` with a correlation id that ``CorrelationID/current`` returns in it and in its child tasks.
///
/// - Parameters:
///   - id: The identifier.
///   - operation: The work; it keeps the caller's isolation.
/// - Returns: What `operation` returns.
/// - Throws: What `operation` throws.
nonisolated(nonsending) public func withCorrelationID<Success>(
    _ id: CorrelationID,
    operation: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await CorrelationID.$ambient.withValue(id, operation: operation)
}

/// Random bytes from the system's generator, as lower-case hexadecimal digits.
package func randomHexadecimal(bytes count: Int) -> String {
    var generator = AmbientGenerator()
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    var bytes: UInt64 = 0
    for position in 0..<count {
        // Eight at a time: each draw may be a system call.
        if position % 8 == 0 { bytes = generator.next() }
        text.append(hexadecimalDigit(bytes >> 4))
        text.append(hexadecimalDigit(bytes))
        bytes >>= 8
    }
    return String(decoding: text, as: UTF8.self)
}
