import ReliabilityCore
import Testing
import Validation

/// Returns the error of a rejected body, or `nil` if the body is accepted.
func rejection<Value>(
    of body: some Collection<UInt8>,
    by validator: Validator = Validator(),
    _ read: (JSONReader) throws -> Value
) -> ValidationError? {
    do {
        _ = try validator.parse(body, as: read)
        return nil
    } catch let error as ValidationError {
        return error
    } catch {
        Issue.record("threw \(error)")
        return nil
    }
}

/// Returns the details of a rejected body as `pointer code`, or an empty array if the body is accepted.
func issues<Value>(
    _ body: String,
    by validator: Validator = Validator(),
    _ read: (JSONReader) throws -> Value
) -> [String] {
    rejection(of: body.utf8, by: validator, read)?.details.map { "\($0.pointer) \($0.code)" } ?? []
}

/// Returns the code of a body that the parser rejects, or `nil` if the body is JSON within the limits.
func parserCode(
    _ body: some Collection<UInt8>,
    configuration: Validator.Configuration = .standard
) -> ErrorCode? {
    let error = rejection(of: body, by: .ignoringUnknownKeys(configuration)) { _ in () }
    return error.map { $0.details.first?.code ?? $0.code }
}

extension Validator {
    /// Returns a validator that ignores unknown keys.
    static func ignoringUnknownKeys(_ configuration: Configuration) -> Validator {
        var configuration = configuration
        configuration.unknownKeys = .ignore
        return Validator(configuration)
    }
}

/// A seeded generator (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension SeededGenerator {
    /// Returns a random element of a nonempty array.
    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &self)]
    }
}
