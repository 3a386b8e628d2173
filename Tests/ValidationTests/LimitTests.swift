import ReliabilityCore
import Testing
import Validation

@Suite struct LimitTests {
    @Test func aBodyOverTheLimitIsTooLarge() {
        let body = [UInt8](repeating: UInt8(ascii: "["), count: 10 << 20)
        let error = refusal(of: body, by: Validator(limits: .init(bodyBytes: 64 << 10))) { _ in () }
        #expect(error?.code == "validation.body_too_large")
        #expect(error?.category == .tooLarge)
        #expect(error?.message == "The body must not exceed 65536 bytes.")
    }

    @Test func theLengthAloneRefusesABody() {
        struct Endless: Collection {
            let startIndex = 0
            let endIndex = 1 << 40
            func index(after index: Int) -> Int { index + 1 }
            var count: Int { endIndex }
            subscript(index: Int) -> UInt8 {
                Issue.record("a byte was read")
                return 0
            }
        }
        #expect(parserCode(Endless()) == "validation.body_too_large")
    }

    @Test func aBodyAtTheLimitIsAccepted() {
        let limits = Validator.Limits(bodyBytes: 4)
        #expect(parserCode("true".utf8, limits: limits) == nil)
        #expect(parserCode("true ".utf8, limits: limits) == "validation.body_too_large")
    }

    @Test(arguments: ["[", "{\"a\":"])
    func aHundredThousandLevelsAreRefused(_ opening: String) {
        let body = String(repeating: opening, count: 100_000)
        #expect(parserCode(body.utf8) == "validation.too_deep")
    }

    @Test func theDeepestDocumentIsParsedAndReleasedWithoutRecursion() {
        let body = String(repeating: "[", count: 1024) + String(repeating: "]", count: 1024)
        #expect(parserCode(body.utf8, limits: .init(depth: 1024)) == nil)
    }

    @Test(arguments: [1, 2, 64])
    func depthIsExact(_ depth: Int) {
        func nested(_ levels: Int) -> String {
            String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        #expect(parserCode(nested(depth).utf8, limits: .init(depth: depth)) == nil)
        #expect(parserCode(nested(depth + 1).utf8, limits: .init(depth: depth)) == "validation.too_deep")
    }

    @Test func siblingsDoNotAddToTheDepth() {
        #expect(parserCode("[[],[],{\"a\":{}}]".utf8, limits: .init(depth: 3)) == nil)
    }

    @Test func theLengthOfStringsAndKeysIsLimitedInBytesAfterUnescaping() {
        let limits = Validator.Limits(stringBytes: 4)
        #expect(parserCode("\"éé\"".utf8, limits: limits) == nil)
        #expect(parserCode("\"ééa\"".utf8, limits: limits) == "validation.too_long")
        #expect(parserCode(#""\u0061\u0062\u0063\u0064""#.utf8, limits: limits) == nil)
        #expect(parserCode(#""\u0061\u0062\u0063\u0064e""#.utf8, limits: limits) == "validation.too_long")
        #expect(parserCode("{\"abcde\":1}".utf8, limits: limits) == "validation.too_long")
    }

    @Test func arraysObjectsValuesAndNumbersAreLimited() {
        let limits = Validator.Limits(numberBytes: 3, arrayItems: 2, objectMembers: 2, values: 6)
        #expect(parserCode("[1,2]".utf8, limits: limits) == nil)
        #expect(parserCode("[1,2,3]".utf8, limits: limits) == "validation.too_many_items")
        #expect(parserCode("{\"a\":1,\"b\":2}".utf8, limits: limits) == nil)
        #expect(parserCode("{\"a\":1,\"b\":2,\"c\":3}".utf8, limits: limits) == "validation.too_many_members")
        #expect(parserCode("[[1,2],[3]]".utf8, limits: limits) == nil)
        #expect(parserCode("[[1,2],[3,4]]".utf8, limits: limits) == "validation.too_many_values")
        #expect(parserCode("-12".utf8, limits: limits) == nil)
        #expect(parserCode("1234".utf8, limits: limits) == "validation.number_too_long")
    }

    @Test func keysAreNotCountedAsValues() {
        #expect(parserCode("{\"a\":1,\"b\":2}".utf8, limits: .init(values: 3)) == nil)
        #expect(parserCode("{\"a\":1,\"b\":2}".utf8, limits: .init(values: 2)) == "validation.too_many_values")
    }

    @Test func aLimitSaysWhereItWasExceeded() {
        let body = #"{"a":1,"list":[[],[0,1,2]]}"#
        let error = refusal(of: body.utf8, by: Validator(limits: .init(arrayItems: 2))) { _ in () }
        #expect(error?.details.map(\.pointer) == ["/list/1"])
    }

    @Test func manyEqualPrefixesDoNotHideADuplicateKey() {
        let keys = (0..<1000).map { "\"\(String(repeating: "k", count: 50))\($0 == 999 ? 17 : $0)\":0" }
        let error = refusal(of: "{\(keys.joined(separator: ","))}".utf8) { _ in () }
        #expect(error?.details.first?.code == "validation.duplicate_key")
        #expect(error?.details.first?.pointer == "/\(String(repeating: "k", count: 50))17")
    }

    @Test func aLimitOfNothingIsAProgrammersError() async {
        await #expect(processExitsWith: .failure) { _ = Validator.Limits(depth: 0) }
        await #expect(processExitsWith: .failure) { _ = Validator.Limits(depth: 1025) }
        await #expect(processExitsWith: .failure) { _ = Validator.Limits(bodyBytes: 0) }
    }
}
