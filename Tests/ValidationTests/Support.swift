import ReliabilityCore
import Testing
import Validation

/// The error that a closure throws for this body, or nil when it is accepted.
func refusal<Value>(
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

/// The details of a refusal as `pointer code`; empty when the body is accepted.
func problems<Value>(
    _ body: String,
    by validator: Validator = Validator(),
    _ read: (JSONReader) throws -> Value
) -> [String] {
    refusal(of: body.utf8, by: validator, read)?.details.map { "\($0.pointer) \($0.code)" } ?? []
}

/// The code with which the parser refuses a body; nil when it is JSON within the limits.
func parserCode(_ body: some Collection<UInt8>, limits: Validator.Limits = .init()) -> ErrorCode? {
    let error = refusal(of: body, by: Validator(limits: limits, unknownKeys: .ignore)) { _ in () }
    return error.map { $0.details.first?.code ?? $0.code }
}

/// A generator whose numbers follow from its seed (SplitMix64).
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
    /// One element of a collection that has some.
    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &self)]
    }
}
