/// The identifier of a request in log lines, error bodies and messages.
///
/// An identifier has 1 to 128 bytes of `A–Z a–z 0–9 . _ -`. The first and the last byte are not a point. The identifier
/// is not the name of a Windows device, such as `NUL` or `con.txt`. An identifier is therefore safe in a header, in a
/// log line and as a file name on every system.
public struct CorrelationID: Hashable, Sendable, CustomStringConvertible {
    @TaskLocal static var ambient: CorrelationID?

    /// The identifier's text.
    public let description: String

    /// The identifier set with ``withCorrelationID(_:operation:)`` for the current task, or `nil` if there is none.
    public static var current: CorrelationID? { ambient }

    /// Creates an identifier from untrusted text, or returns `nil` if the text breaks the rules of this type.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard (1...128).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else { return nil }
        let point = UInt8(ascii: ".")
        if bytes.first == point || bytes.last == point || Self.isDevice(bytes.prefix { $0 != point }) { return nil }
        description = text
    }

    private init(unchecked text: String) { description = text }

    /// Creates an identifier of 32 random lower-case hexadecimal digits (128 bits).
    public static func random() -> CorrelationID { CorrelationID(unchecked: randomHexadecimal(bytes: 16)) }

    /// Returns whether a file of this name and any extension is a device on Windows.
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

/// Runs an operation with a correlation id.
///
/// ``CorrelationID/current`` returns the id in the operation and in its child tasks.
///
/// - Parameters:
///   - id: The identifier.
///   - operation: The operation, which keeps the caller's isolation.
/// - Returns: The operation's value.
/// - Throws: The operation's error.
nonisolated(nonsending) public func withCorrelationID<Success>(
    _ id: CorrelationID,
    operation: nonisolated(nonsending) () async throws -> Success
) async rethrows -> Success {
    try await CorrelationID.$ambient.withValue(id, operation: operation)
}

/// Returns random bytes of an ``AmbientGenerator`` as lower-case hexadecimal digits.
package func randomHexadecimal(bytes count: Int) -> String {
    var generator = AmbientGenerator()
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    var bytes: UInt64 = 0
    for position in 0..<count {
        // Eight bytes for each random number, because each random number may be a system call.
        if position % 8 == 0 { bytes = generator.next() }
        text.append(hexadecimalDigit(bytes >> 4))
        text.append(hexadecimalDigit(bytes))
        bytes >>= 8
    }
    return String(decoding: text, as: UTF8.self)
}
