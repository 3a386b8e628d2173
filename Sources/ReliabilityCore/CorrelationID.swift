/// The identifier that ties together everything done for one request: log lines, error bodies, messages.
///
/// It is 1 to 128 bytes of `A–Z a–z 0–9 . _ -`, so it is safe in a header, a log line and a file name.
public struct CorrelationID: Hashable, Sendable, CustomStringConvertible {
    @TaskLocal static var ambient: CorrelationID?

    /// The identifier's text.
    public let description: String

    /// The identifier of the current task, if one was set with ``withCorrelationID(_:operation:)``.
    public static var current: CorrelationID? { ambient }

    /// Accepts an identifier from outside.
    ///
    /// Returns nil when the text is empty, longer than 128 bytes, or has a byte outside `A–Z a–z 0–9 . _ -`:
    /// a caller's text never reaches a log unchecked.
    public init?(_ text: String) {
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed) else { return nil }
        description = text
    }

    private init(unchecked text: String) { description = text }

    /// Makes a new identifier of 128 random bits, as 32 lower-case hexadecimal digits.
    public static func random() -> CorrelationID { CorrelationID(unchecked: randomHexadecimal(bytes: 16)) }

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
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(count * 2)
    for _ in 0..<count {
        let byte = UInt8.random(in: .min ... .max, using: &generator)
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
