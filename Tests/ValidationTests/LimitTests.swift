import ReliabilityCore
import Testing
import Validation

@Suite("Limits")
struct LimitTests {
    @Test("A body over the limit is rejected as too large")
    func tooLarge() {
        let body = [UInt8](repeating: UInt8(ascii: "["), count: 10 << 20)
        let error = rejection(of: body, by: Validator(.init(maxBodyBytes: 64 << 10))) { _ in () }
        #expect(error?.code == "validation.body_too_large")
        #expect(error?.category == .tooLarge)
        #expect(error?.message == "The body must not exceed 65536 bytes.")
    }

    @Test("A body over the limit is rejected without reading a byte")
    func lengthAlone() {
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

    @Test("A body exactly at the limit is accepted")
    func atTheLimit() {
        let configuration = Validator.Configuration(maxBodyBytes: 4)
        #expect(parserCode("true".utf8, configuration: configuration) == nil)
        #expect(parserCode("true ".utf8, configuration: configuration) == "validation.body_too_large")
    }

    @Test(
        "A hundred thousand nested levels are rejected",
        arguments: ["[", "{\"a\":"]
    )
    func hundredThousandLevels(_ opening: String) {
        let body = String(repeating: opening, count: 100_000)
        #expect(parserCode(body.utf8) == "validation.too_deep")
    }

    @Test("The deepest accepted document is parsed and released without recursion")
    func deepest() {
        let body = String(repeating: "[", count: 1024) + String(repeating: "]", count: 1024)
        #expect(parserCode(body.utf8, configuration: .init(maxDepth: 1024)) == nil)
    }

    @Test(
        "The depth limit is exact",
        arguments: [1, 2, 64]
    )
    func depth(_ depth: Int) {
        func nested(_ levels: Int) -> String {
            String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        #expect(parserCode(nested(depth).utf8, configuration: .init(maxDepth: depth)) == nil)
        #expect(parserCode(nested(depth + 1).utf8, configuration: .init(maxDepth: depth)) == "validation.too_deep")
    }

    @Test("Siblings do not count toward the depth")
    func siblings() {
        #expect(parserCode("[[],[],{\"a\":{}}]".utf8, configuration: .init(maxDepth: 3)) == nil)
    }

    @Test("The length of strings and keys is limited in bytes after unescaping")
    func stringBytes() {
        let configuration = Validator.Configuration(maxStringBytes: 4)
        #expect(parserCode("\"éé\"".utf8, configuration: configuration) == nil)
        #expect(parserCode("\"ééa\"".utf8, configuration: configuration) == "validation.too_long")
        #expect(parserCode(#""\u0061\u0062\u0063\u0064""#.utf8, configuration: configuration) == nil)
        #expect(parserCode(#""\u0061\u0062\u0063\u0064e""#.utf8, configuration: configuration) == "validation.too_long")
        #expect(parserCode("{\"abcde\":1}".utf8, configuration: configuration) == "validation.too_long")
    }

    @Test("The numbers of items, members and values and the length of numbers are limited")
    func counts() {
        let configuration = Validator.Configuration(
            maxNumberBytes: 3,
            maxArrayItems: 2,
            maxObjectMembers: 2,
            maxValues: 6
        )
        #expect(parserCode("[1,2]".utf8, configuration: configuration) == nil)
        #expect(parserCode("[1,2,3]".utf8, configuration: configuration) == "validation.too_many_items")
        #expect(parserCode("{\"a\":1,\"b\":2}".utf8, configuration: configuration) == nil)
        #expect(
            parserCode("{\"a\":1,\"b\":2,\"c\":3}".utf8, configuration: configuration) == "validation.too_many_members"
        )
        #expect(parserCode("[[1,2],[3]]".utf8, configuration: configuration) == nil)
        #expect(parserCode("[[1,2],[3,4]]".utf8, configuration: configuration) == "validation.too_many_values")
        #expect(parserCode("-12".utf8, configuration: configuration) == nil)
        #expect(parserCode("1234".utf8, configuration: configuration) == "validation.number_too_long")
    }

    @Test("Keys do not count as values")
    func keys() {
        #expect(parserCode("{\"a\":1,\"b\":2}".utf8, configuration: .init(maxValues: 3)) == nil)
        #expect(
            parserCode("{\"a\":1,\"b\":2}".utf8, configuration: .init(maxValues: 2)) == "validation.too_many_values"
        )
    }

    @Test("The pointer of an exceeded limit leads to the container")
    func pointer() {
        let body = #"{"a":1,"list":[[],[0,1,2]]}"#
        let error = rejection(of: body.utf8, by: Validator(.init(maxArrayItems: 2))) { _ in () }
        #expect(error?.details.map(\.pointer) == ["/list/1"])
    }

    @Test("A duplicate key is found among many keys with a common prefix")
    func duplicateAmongMany() {
        let keys = (0..<1000).map { "\"\(String(repeating: "k", count: 50))\($0 == 999 ? 17 : $0)\":0" }
        let error = rejection(of: "{\(keys.joined(separator: ","))}".utf8) { _ in () }
        #expect(error?.details.first?.code == "validation.duplicate_key")
        #expect(error?.details.first?.pointer == "/\(String(repeating: "k", count: 50))17")
    }
}
