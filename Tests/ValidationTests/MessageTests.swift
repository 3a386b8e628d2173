import ReliabilityCore
import Testing
import Validation

@Suite("Messages of issues")
struct MessageTests {
    private func message<Value>(
        _ body: String,
        configuration: Validator.Configuration = .standard,
        _ read: (JSONReader) throws -> Value
    ) -> String? {
        rejection(of: body.utf8, by: .ignoringUnknownKeys(configuration), read)?.details.first?.message
    }

    @Test("The message for a number beyond Double does not mention infinity")
    func infinity() {
        for range in [-Double.infinity ... .infinity, 0 ... .infinity, -.infinity...0] {
            for text in ["1e400", "-1e400"] {
                let message = message(text) { try $0.number(in: range).value }
                #expect(message?.contains("inf") == false, "\(text) in \(range)")
            }
        }
        #expect(
            message("1e400") { try $0.number(in: 0 ... .infinity).value }
                == "Must fit into a 64-bit floating-point number."
        )
        #expect(
            message("-1e400") { try $0.number(in: -.infinity...0).value }
                == "Must fit into a 64-bit floating-point number."
        )
        #expect(message("-1") { try $0.number(in: 0 ... .infinity).value } == "Must be at least 0.")
        #expect(message("1e400") { try $0.number(in: 0...20).value } == "Must be at most 20.")
    }

    @Test(
        "A bound is written in plain decimal notation",
        arguments: [
            (0.0, "0"), (-0.0, "0"), (1, "1"), (20.5, "20.5"), (1e6, "1000000"), (1e16, "10000000000000000"),
            (1e21, "1e+21"),
            (0.001, "0.001"), (1e-7, "1e-7"), (-3, "-3"),
        ]
    )
    func bounds(_ bound: Double, _ text: String) {
        #expect(message("1e300") { try $0.number(in: bound - 1...bound).value } == "Must be at most \(text).")
        #expect(message("-1e300") { try $0.number(in: bound...bound + 1).value } == "Must be at least \(text).")
    }

    @Test("Whole-number bounds are written in full")
    func integerBounds() {
        #expect(message("300") { try $0.integer(in: UInt8.min...UInt8.max).value } == "Must be at most 255.")
        #expect(
            message("-9223372036854775809") { try $0.integer(in: Int64.min...Int64.max).value }
                == "Must be at least -9223372036854775808."
        )
    }

    @Test(#"Counts use the singular for one, and a minimum of one reads "not empty""#)
    func counts() {
        #expect(message("\"\"") { try $0.string(bytes: 1...9).value } == "Must not be empty.")
        #expect(message("\"a\"") { try $0.string(bytes: 2...9).value } == "Must have at least 2 bytes.")
        #expect(message("\"ab\"") { try $0.string(bytes: 0...1).value } == "Must have at most 1 byte.")
        #expect(message("\"abc\"") { try $0.string(bytes: 0...2).value } == "Must have at most 2 bytes.")
        #expect(message("\"a\"") { try $0.string(bytes: 0...0).value } == "Must be empty.")
        #expect(message("[]") { try $0.array(count: 1...9) { _ in }.value } == "Must not be empty.")
        #expect(message("[]") { try $0.array(count: 2...9) { _ in }.value } == "Must have at least 2 items.")
        #expect(message("[1,2]") { try $0.array(count: 0...1) { _ in }.value } == "Must have at most 1 item.")
        #expect(message("[1]") { try $0.array(count: 0...0) { _ in }.value } == "Must be empty.")
    }

    @Test("Document limits use the singular for one")
    func limits() {
        let one = Validator.Configuration(
            maxDepth: 1,
            maxStringBytes: 1,
            maxNumberBytes: 1,
            maxArrayItems: 1,
            maxObjectMembers: 1,
            maxValues: 2
        )
        let bodies = [
            ("[[]]", "Must not nest deeper than 1 level."), ("\"ab\"", "Must have at most 1 byte."),
            ("12", "A number must not be longer than 1 byte."), ("[1,2]", "Must have at most 1 item."),
            ("{\"a\":1,\"b\":1}", "Must not have more than 1 field."),
        ]
        for (body, expected) in bodies { #expect(message(body, configuration: one) { _ in } == expected) }
        #expect(
            message("[1]", configuration: .init(maxValues: 1)) { _ in } == "The body must not have more than 1 value."
        )
        let error = rejection(of: "[]".utf8, by: Validator(.init(maxBodyBytes: 1))) { _ in }
        #expect(error?.message == "The body must not exceed 1 byte.")
    }

    private struct LongChoice: RawRepresentable, CaseIterable {
        let rawValue: String
        static let allCases = (0..<20).map { LongChoice(rawValue: "\($0)" + String(repeating: "x", count: 98)) }
    }

    private struct ManyChoices: RawRepresentable, CaseIterable {
        let rawValue: String
        static let allCases = (0..<21).map { ManyChoices(rawValue: "c\($0)") }
    }

    @Test("A shortened list of choices ends in an ellipsis and fits into a rendered message")
    func choices() {
        let long = message("\"a\"") { try $0.choice(of: LongChoice.self).value }
        #expect(long?.hasSuffix("x, ….") == true)
        #expect((long?.utf8.count ?? .max) <= 1024)
        #expect(message("\"a\"") { try $0.choice(of: ManyChoices.self).value }?.hasSuffix("c18, c19, ….") == true)
    }
}
