import ReliabilityCore
import Testing
import Validation

private struct Order: Equatable {
    struct Item: Equatable {
        let sku: String
        let quantity: Int

        init(sku: String, quantity: Int) {
            self.sku = sku
            self.quantity = quantity
        }

        init(_ item: JSONReader) throws {
            let sku = item.string("sku", bytes: 1...64)
            let quantity = item.integer("quantity", in: 1...1000)
            try self.init(sku: sku.value, quantity: quantity.value)
        }
    }
    let id: String
    let email: String
    let phone: String?
    let reference: String
    let currency: String
    let items: [Item]
}

extension Order {
    init(_ order: JSONReader) throws {
        let id = order.uuid("order_id")
        let email = order.email("customer", "email")
        let phone = order.optional("customer", "phone")?.phone()
        let reference = order.alphanumericCode("reference")
        let currency = order.currency("currency", among: ["EUR", "USD"])
        let items = order.array("items", count: 1...100, of: Item.init)
        try self.init(
            id: id.value,
            email: email.value,
            phone: phone?.value,
            reference: reference.value,
            currency: currency.value,
            items: items.value
        )
    }
}

private let rightBody = """
    {"order_id":"9B2F6A3E-0C1D-4E5F-8A9B-0C1D2E3F4A5B","customer":{"email":"  Ada@Example.ORG ",\
    "phone":"+4930123456"},"reference":" po-17 ","currency":"EUR",\
    "items":[{"sku":"A","quantity":1},{"sku":"B","quantity":1000}]}
    """

@Suite("Reading a body")
struct ReadingTests {
    @Test("A valid body becomes a normalized value")
    func valid() throws {
        let order = try Validator().parse(rightBody.utf8, as: Order.init)
        #expect(
            order
                == Order(
                    id: "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
                    email: "ada@example.org",
                    phone: "+4930123456",
                    reference: "PO-17",
                    currency: "EUR",
                    items: [Order.Item(sku: "A", quantity: 1), Order.Item(sku: "B", quantity: 1000)]
                )
        )
    }

    @Test(
        "A mutated body is either a valid order or rejected",
        arguments: 0..<20
    )
    func mutated(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "null", "true", "-1", "1e9", "\"\"", "[]", "{}", ",", "\"sku\":", "\"x\":1,", "é", "\\u0000", "0",
        ]
        for _ in 0..<200 {
            var body = Array(rightBody.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0...body.count, using: &generator)
                let end = min(body.count, place + Int.random(in: 0...8, using: &generator))
                body.replaceSubrange(place..<end, with: generator.pick(pieces).utf8)
            }
            do {
                let order = try Validator().parse(body, as: Order.init)
                #expect((1...100).contains(order.items.count), "seed \(seed)")
                #expect(order.items.allSatisfy { (1...1000).contains($0.quantity) }, "seed \(seed)")
                #expect(order.id.utf8.count == 36 && order.email.contains("@"), "seed \(seed)")
            } catch let error as ValidationError {
                #expect((1...100).contains(error.details.count), "seed \(seed)")
            }
        }
    }

    @Test("All issues are reported in document order")
    func documentOrder() {
        // Only one unknown member, of item 4, is in an object that was read completely.
        let body = """
            {"items":[{"sku":"","quantity":1},{"quantity":0,"sku":"B","colour":"red"},{"sku":"C","quantity":1.5},7,\
            {"sku":"D","quantity":1,"colour":"red"}],"extra":{"a":1},"currency":"GBP","customer":{"phone":"030 123","email":"ada"},"order_id":"1"}
            """
        #expect(
            issues(body, Order.init) == [
                "/reference validation.required",
                "/items/0/sku validation.too_short",
                "/items/1/quantity validation.too_small",
                "/items/2/quantity validation.not_an_integer",
                "/items/3 validation.wrong_type",
                "/items/4/colour validation.unknown_field",
                "/currency validation.unknown_currency",
                "/customer/phone validation.invalid_phone",
                "/customer/email validation.invalid_email",
                "/order_id validation.invalid_uuid",
            ]
        )
    }

    @Test("The error has a code, a category, a message and details")
    func errorFields() {
        let error = rejection(of: "{}".utf8) { try $0.bool("a").value }
        #expect(error?.code == "validation.failed")
        #expect(error?.category == .invalid)
        #expect(error?.message == "The request is invalid.")
        #expect(error?.details == [ErrorDetail(pointer: "/a", code: "validation.required", message: "Is required.")])
        #expect(error?.isTruncated == false)
        #expect(error?.description == #"validation.failed: "/a" validation.required"#)
    }

    @Test("A missing object is reported once for all its fields")
    func missingObject() {
        let found = issues("{}") { reader in
            _ = reader.email("customer", "email")
            _ = reader.string("customer", "name", bytes: 1...9)
        }
        #expect(found == ["/customer validation.required"])
    }

    @Test("A value in place of an object is reported once")
    func notAnObject() {
        let found = issues(#"{"customer":5}"#) { reader in
            let email = reader.email("customer", "email")
            let phone = reader.optional("customer", "phone")?.phone()
            let name = reader.object("customer") { try $0.string("name", bytes: 1...9).value }
            _ = (try email.value, try phone?.value, try name.value)
        }
        #expect(found == ["/customer validation.wrong_type"])
    }

    @Test("Pointers escape tilde and slash")
    func escapedPointer() {
        let found = issues(#"{"a/b":{"m~n":"x"},"~1/":1}"#) { $0.bool("a/b", "m~n") }
        #expect(found == ["/a~1b/m~0n validation.wrong_type", "/~01~1 validation.unknown_field"])
    }

    @Test(
        "A body that is not an object is rejected",
        arguments: ["null", "true", "5", "\"x\"", "[]", "[{}]"]
    )
    func scalarBody(_ body: String) {
        #expect(issues(body, Order.init) == [" validation.wrong_type"])
    }

    @Test("Every type rejects values of every other type")
    func types() {
        let values = ["null", "true", "1", "\"a\"", "[]", "{}"]
        func rejected(_ read: (JSONReader) throws -> Void) -> [String] {
            values.filter { issues($0, read) == [" validation.wrong_type"] }
        }
        #expect(rejected { _ = try $0.bool().value } == ["null", "1", "\"a\"", "[]", "{}"])
        #expect(rejected { _ = try $0.integer(in: 0...9).value } == ["null", "true", "\"a\"", "[]", "{}"])
        #expect(rejected { _ = try $0.number(in: 0...9).value } == ["null", "true", "\"a\"", "[]", "{}"])
        #expect(rejected { _ = try $0.string(bytes: 0...9).value } == ["null", "true", "1", "[]", "{}"])
        #expect(rejected { _ = try $0.text(bytes: 0...9).value } == ["null", "true", "1", "[]", "{}"])
        #expect(rejected { _ = try $0.email().value } == ["null", "true", "1", "[]", "{}"])
        #expect(rejected { _ = try $0.array(count: 0...9) { _ in }.value } == ["null", "true", "1", "\"a\"", "{}"])
        #expect(rejected { _ = try $0.object { _ in }.value } == ["null", "true", "1", "\"a\"", "[]"])
    }

    @Test("Scalars are read")
    func scalars() throws {
        func read<Value>(_ body: String, _ read: (JSONReader) -> JSONField<Value>) throws -> Value {
            try Validator().parse(body.utf8) { try read($0).value }
        }
        #expect(try read("true") { $0.bool() } == true)
        #expect(try read("false") { $0.bool() } == false)
        #expect(try read("-0") { $0.integer(in: 0...0) } == 0)
        #expect(try read("1.5e1") { $0.number(in: 0...20) } == 15)
        #expect(try read("\" a \"") { $0.string(bytes: 3...3) } == " a ")
        #expect(try read(#""a\nb""#) { $0.text(bytes: 3...3) } == "a\nb")
    }

    @Test("Ranges include both bounds")
    func bounds() {
        #expect(issues("0") { try $0.integer(in: 1...3).value } == [" validation.too_small"])
        #expect(issues("1") { try $0.integer(in: 1...3).value } == [])
        #expect(issues("3") { try $0.integer(in: 1...3).value } == [])
        #expect(issues("4") { try $0.integer(in: 1...3).value } == [" validation.too_large"])
        #expect(issues("0.9") { try $0.number(in: 1...3).value } == [" validation.too_small"])
        #expect(issues("3.1") { try $0.number(in: 1...3).value } == [" validation.too_large"])
        #expect(issues("[]") { try $0.array(count: 1...2) { _ in }.value } == [" validation.too_few_items"])
        #expect(issues("[1,2]") { try $0.array(count: 1...2) { _ in }.value } == [])
        #expect(issues("[1,2,3]") { try $0.array(count: 1...2) { _ in }.value } == [" validation.too_many_items"])
        #expect(issues("\"a\"") { try $0.string(bytes: 2...3).value } == [" validation.too_short"])
        #expect(issues("\"ab \"") { try $0.string(bytes: 2...2, normalized: .trimmed).value } == [])
    }

    @Test("Array items are read in order")
    func items() throws {
        let tags = try Validator().parse(#"["a","b","c"]"#.utf8) { reader in
            try reader.array(count: 0...3) { try $0.string(bytes: 1...1).value }.value
        }
        #expect(tags == ["a", "b", "c"])
    }
}

@Suite("Absent and null fields")
struct AbsenceTests {
    private func state(_ body: String) throws -> String {
        try Validator().parse(body.utf8) { reader in
            guard let field = reader.optional("a") else { return "absent" }
            return field.isNull ? "null" : try field.string(bytes: 0...9).value
        }
    }

    @Test("Absent, null and empty fields are distinguished")
    func absentNullEmpty() throws {
        #expect(try state("{}") == "absent")
        #expect(try state(#"{"a":null}"#) == "null")
        #expect(try state(#"{"a":""}"#) == "")
    }

    @Test("An optional field may be absent but not null")
    func optional() {
        #expect(issues("{}") { try $0.optional("a")?.bool().value } == [])
        #expect(issues(#"{"a":null}"#) { try $0.optional("a")?.bool().value } == ["/a validation.wrong_type"])
    }

    @Test("A nullable field may be absent or null")
    func nullable() throws {
        for body in ["{}", #"{"a":null}"#] {
            #expect(try Validator().parse(body.utf8) { try $0.nullable("a")?.bool().value } == nil)
        }
        #expect(try Validator().parse(#"{"a":true}"#.utf8) { try $0.nullable("a")?.bool().value } == true)
    }

    @Test("An optional field of an absent object is absent")
    func absentParent() {
        #expect(issues("{}") { try $0.optional("a", "b")?.bool().value } == [])
    }

    @Test("A required field is rejected if absent or null")
    func required() {
        #expect(issues("{}") { try $0.bool("a").value } == ["/a validation.required"])
        #expect(issues(#"{"a":null}"#) { try $0.bool("a").value } == ["/a validation.wrong_type"])
    }
}

@Suite("Unknown keys")
struct UnknownKeyTests {
    private let body = #"{"a":1,"__proto__":1,"":1,"A":1,"b":{"c":1,"d":{"e":1}},"list":[{"x":1,"y":2}]}"#

    private func read(_ reader: JSONReader) throws {
        _ = reader.integer("a", in: 0...9)
        _ = reader.integer("b", "c", in: 0...9)
        _ = reader.array("list", count: 0...9) { try $0.integer("x", in: 0...9).value }
    }

    @Test("Every unknown key is reported")
    func reported() {
        #expect(
            issues(body, read) == [
                "/__proto__ validation.unknown_field", "/ validation.unknown_field", "/A validation.unknown_field",
                "/b/d validation.unknown_field", "/list/0/y validation.unknown_field",
            ]
        )
    }

    @Test("Unknown keys are ignored if configured")
    func ignored() {
        #expect(issues(body, by: Validator(.init(unknownKeys: .ignore)), read) == [])
    }

    @Test("All keys of an object that reads no field are unknown")
    func emptyRead() {
        #expect(issues(#"{"a":{"b":1}}"#) { try $0.object("a") { _ in }.value } == ["/a/b validation.unknown_field"])
    }

    @Test("An optional field is a known key")
    func optional() {
        #expect(issues(#"{"a":1}"#) { try $0.optional("a")?.integer(in: 0...9).value } == [])
    }
}

@Suite("Rules and transformations")
struct RuleTests {
    private struct Stay {
        let from: Int
        let until: Int

        init(_ stay: JSONReader) throws {
            let from = stay.integer("from", in: 0...99)
            let until = stay.integer("until", in: 0...99)
            let note = stay.string("note", bytes: 0...9)
            stay.check("until", code: "stay.too_short", message: "Must be later.") {
                try from.value < until.value
            }
            _ = try note.value
            self.from = try from.value
            self.until = try until.value
        }
    }

    @Test("A failed rule is reported at its field")
    func failure() {
        #expect(issues(#"{"from":5,"until":5,"note":""}"#, Stay.init) == ["/until stay.too_short"])
        #expect(issues(#"{"from":5,"until":6,"note":""}"#, Stay.init) == [])
    }

    @Test("A rule runs while an unrelated field is wrong")
    func independent() {
        #expect(
            issues(#"{"from":5,"until":5,"note":5}"#, Stay.init)
                == ["/until stay.too_short", "/note validation.wrong_type"]
        )
    }

    @Test("A rule on a wrong field reports no further issue")
    func dependent() {
        #expect(issues(#"{"from":100,"until":5,"note":""}"#, Stay.init) == ["/from validation.too_large"])
    }

    @Test("A rule can be reported at the whole value or at an absent field")
    func pointer() {
        let found = issues(#"{"a":{}}"#, by: Validator(.init(unknownKeys: .ignore))) { reader in
            reader.check(code: "x.whole", message: "No.") { false }
            reader.check("a", "b", "c", code: "x.absent", message: "No.") { false }
        }
        #expect(found == [" x.whole", "/a/b/c x.absent"])
    }

    @Test("compactMap returns the new value or records an issue")
    func compactMap() throws {
        func even(_ reader: JSONReader) throws -> Int {
            try reader.integer("n", in: 0...9)
                .compactMap(code: "n.odd", message: "Must be even.") { $0.isMultiple(of: 2) ? $0 / 2 : nil }
                .value
        }
        #expect(try Validator().parse(#"{"n":8}"#.utf8, as: even) == 4)
        #expect(issues(#"{"n":7}"#, even) == ["/n n.odd"])
        #expect(issues(#"{"n":"7"}"#, even) == ["/n validation.wrong_type"])
    }

    private enum Method: String, CaseIterable { case card, transfer }

    private func method(_ payment: JSONReader) throws -> String {
        try payment.choice("method", of: Method.self).map { method in
            switch method {
            case .card: "card " + (try payment.string("token", bytes: 1...9).value)
            case .transfer: "transfer " + (try payment.string("iban", bytes: 1...9).value)
            }
        }.value
    }

    @Test("map reads the fields that the value decides on")
    func map() throws {
        #expect(try Validator().parse(#"{"method":"card","token":"x"}"#.utf8, as: method) == "card x")
        #expect(issues(#"{"method":"transfer","token":"x"}"#, method) == ["/iban validation.required"])
        #expect(
            issues(#"{"method":"transfer","iban":"y","token":"x"}"#, method) == ["/token validation.unknown_field"]
        )
    }

    @Test("A wrong deciding field is the only issue")
    func wrongDecision() {
        let error = rejection(of: #"{"method":"cash","token":"x","iban":"y"}"#.utf8, method)
        #expect(error?.details.map(\.pointer) == ["/method"])
        #expect(error?.details.map(\.message) == ["Must be one of: card, transfer."])
        #expect(issues(#"{"token":"x"}"#, method) == ["/method validation.required"])
    }

    @Test("An application's error is thrown if no field is wrong")
    func applicationError() {
        struct Rejected: Error, Equatable { let place: Int }
        #expect(throws: Rejected(place: 1)) {
            try Validator().parse("[1]".utf8) { reader in
                _ = try reader.array(count: 1...1) { _ in throw Rejected(place: 1) }.value
                throw Rejected(place: 2)
            }
        }
        #expect(throws: Rejected(place: 3)) { try Validator().parse("{}".utf8) { _ in throw Rejected(place: 3) } }
        #expect(throws: ValidationError.self) {
            try Validator().parse("{}".utf8) { reader in
                _ = reader.bool("a")
                throw Rejected(place: 4)
            }
        }
        #expect(throws: Rejected(place: 5)) {
            try Validator().parse("{}".utf8) { $0.check(code: "a", message: "b") { throw Rejected(place: 5) } }
        }
    }

    @Test("An issue rejects the input even if the value of its field is not used")
    func unusedField() {
        #expect(
            issues("{}") { reader in
                _ = reader.bool("a")
                return 5
            } == ["/a validation.required"]
        )
    }
}

@Suite("Truncated lists of issues")
struct TruncationTests {
    @Test("Only the first hundred issues are listed and reading stops after them")
    func firstHundred() {
        let body = "[" + Array(repeating: "0", count: 1000).joined(separator: ",") + "]"
        var readCount = 0
        let error = rejection(of: body.utf8) { reader in
            try reader.array(count: 0...1000) { item in
                readCount += 1
                return try item.bool().value
            }.value
        }
        #expect(error?.details.count == 100)
        #expect(error?.details.last?.pointer == "/99")
        #expect(error?.isTruncated == true)
        #expect(error?.message == "The request is invalid. Only the first issues are listed.")
        // Issue 101 proves that there are more. The remaining items are not read.
        #expect(readCount == 101)
    }

    @Test("A list that is exactly full is not truncated")
    func full() {
        let body = "[" + Array(repeating: "0", count: 100).joined(separator: ",") + "]"
        let error = rejection(of: body.utf8) { try $0.array(count: 0...1000) { try $0.bool().value }.value }
        #expect(error?.details.count == 100)
        #expect(error?.isTruncated == false)
    }

    @Test(#"The description of a truncated list ends with "and more""#)
    func description() {
        let error = rejection(of: "[0,0]".utf8, by: Validator(.init(maxIssues: 1))) { reader in
            try reader.array(count: 0...9) { try $0.bool().value }.value
        }
        #expect(error?.description == #"validation.failed: "/0" validation.wrong_type, and more"#)
    }

    @Test("Unknown keys are truncated as well")
    func unknownKeys() {
        let body = "{" + (0..<500).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
        let error = rejection(of: body.utf8, by: Validator(.init(maxIssues: 3))) { try $0.object { _ in }.value }
        #expect(error?.details.map(\.pointer) == ["/k0", "/k1", "/k2"])
        #expect(error?.isTruncated == true)
    }
}
