import ReliabilityCore
import Testing
import Validation

/// Reads that end before every field was asked for.
@Suite("a field that was not read is not unknown")
struct UnreadFieldTests {
    private struct OutOfStock: Error, Equatable {}
    private enum Method: String, CaseIterable { case card, transfer }

    private func thrown<Value>(_ body: String, _ read: (JSONReader) throws -> Value) -> (any Error)? {
        do {
            _ = try Validator().parse(body.utf8, as: read)
            return nil
        } catch {
            return error
        }
    }

    // The application's own error.

    @Test("an error of the application's own reaches the caller, whatever was left unread")
    func ownError() {
        let error = thrown(#"{"a":1,"b":2}"#) { json in
            guard try json.integer("a", in: 0...9).value == 0 else { throw OutOfStock() }
            return try json.integer("b", in: 0...9).value
        }
        #expect(error is OutOfStock)
    }

    @Test("the same from an object, an item, a rule, a decision and a refinement")
    func ownErrorFromInside() {
        let body = #"{"o":{"a":1,"b":2},"list":[{"a":1,"b":2}],"c":3}"#
        let reads: [(JSONReader) throws -> Void] = [
            { _ = try $0.object("o") { _ in throw OutOfStock() }.value },
            { json in
                _ = try json.object("o") { inner in
                    _ = inner.integer("a", in: 0...9)
                    throw OutOfStock()
                }.value
            },
            { json in
                _ = json.array("list", count: 0...9) { item in
                    _ = item.integer("a", in: 0...9)
                    throw OutOfStock()
                }
            },
            { json in
                _ = json.integer("o", "a", in: 0...9)
                json.check("c", code: "c.wrong", message: "No.") { throw OutOfStock() }
            },
            { _ = $0.integer("c", in: 0...9).then { _ in throw OutOfStock() } },
            {
                _ = $0.integer("c", in: 0...9).refined(code: "c.wrong", message: "No.") { _ -> Int? in
                    throw OutOfStock()
                }
            },
        ]
        for (number, read) in reads.enumerated() { #expect(thrown(body, read) is OutOfStock, "read \(number)") }
    }

    @Test("an error of the application's own wins over members that are unknown, and loses to fields that are wrong")
    func ownErrorBesideProblems() {
        let body = #"{"o":{"a":1,"extra":2},"c":"x"}"#
        #expect(
            thrown(body) { json in
                _ = try json.object("o") { try $0.integer("a", in: 0...9).value }.value
                throw OutOfStock()
            } is OutOfStock
        )
        #expect(
            problems(body) { json in
                _ = json.integer("c", in: 0...9)
                throw OutOfStock()
            } == ["/c validation.wrong_type"]
        )
    }

    // Values taken while fields are still to be read.

    @Test("values may be taken as they are read: a wrong field is the one problem")
    func inline() {
        #expect(
            problems(#"{"a":"x","b":2,"c":{"d":3}}"#) { json in
                try [
                    json.integer("a", in: 0...9).value, json.integer("b", in: 0...9).value,
                    json.integer("c", "d", in: 0...9).value,
                ]
            } == ["/a validation.wrong_type"]
        )
    }

    @Test("the same where a path leads into an object of which another member was read")
    func inlineBesideAPath() {
        #expect(
            problems(#"{"customer":{"email":"x","name":"y"}}"#) { json in
                try [json.email("customer", "email").value, json.string("customer", "name", bytes: 1...9).value]
            } == ["/customer/email validation.invalid_email"]
        )
    }

    @Test("the same in an object that was asked for as optional, and through a reader from further out")
    func inlineFurtherOut() {
        #expect(
            problems(#"{"o":{"a":"x","b":2}}"#) { json in
                guard let o = json.optional("o") else { return [] }
                return try [o.integer("a", in: 0...9).value, o.integer("b", in: 0...9).value]
            } == ["/o/a validation.wrong_type"]
        )
        #expect(
            problems(#"{"o":{"a":"x"},"b":2,"p":{"c":1,"d":2}}"#) { json in
                // Nobody takes the value: only the inner closure ends early.
                _ = json.integer("p", "c", in: 0...9)
                _ = json.object("o") { o in
                    try [
                        o.integer("a", in: 0...9).value, json.integer("b", in: 0...9).value,
                        json.integer("p", "d", in: 0...9).value,
                    ]
                }
            } == ["/o/a validation.wrong_type"]
        )
    }

    @Test("a member that only some values make known is not unknown while that value is wrong")
    func conditional() {
        func read(_ json: JSONReader) throws -> String {
            let id = json.string("id", bytes: 1...9)
            let method = json.choice("method", of: Method.self)
            switch try method.value {
            case .card: return try id.value + json.string("token", bytes: 1...9).value
            case .transfer: return try id.value + json.string("iban", bytes: 1...9).value
            }
        }
        #expect(problems(#"{"id":"1","method":"cash","token":"x"}"#, read) == ["/method validation.unknown_choice"])
        #expect(
            problems(#"{"id":"1","method":"card","token":"x","iban":"y"}"#, read) == ["/iban validation.unknown_field"]
        )
    }

    @Test("unknown members of an object whose closure came to its end are reported, whatever went wrong elsewhere")
    func finishedObjects() {
        #expect(
            problems(#"{"list":[{"a":1,"x":0},{"a":"y","x":0},{"a":2}],"extra":0}"#) { json in
                try json.array("list", count: 0...9) { try $0.integer("a", in: 0...9).value }.value
            } == ["/list/0/x validation.unknown_field", "/list/1/a validation.wrong_type"]
        )
    }

    @Test("unknown members are reported beside other problems when the closure came to its end")
    func finishedRoot() {
        #expect(
            problems(#"{"a":"x","b":1}"#) { _ = $0.bool("a") }
                == ["/a validation.wrong_type", "/b validation.unknown_field"]
        )
    }

    @Test("an error that the closure catches itself ends nothing early")
    func caught() {
        #expect(
            problems(#"{"a":"x","b":1}"#) { json in (try? json.integer("a", in: 0...9).value) ?? 0 }
                == ["/a validation.wrong_type", "/b validation.unknown_field"]
        )
    }

    // Decisions.

    private static let methodAndToken = #""method":"cash","token":"x""#

    /// The field that decides, and the others that it decides on, reached in different ways.
    private static let decisions: [@Sendable (JSONReader) -> Void] = [
        { json in
            _ = json.choice("pay", "method", of: Method.self).then { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            guard let pay = json.optional("pay") else { return }
            _ = pay.choice("method", of: Method.self).then { _ in try pay.string("token", bytes: 1...9).value }
        },
        { json in
            _ = json.optional("pay", "method")?.choice(of: Method.self).then { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            _ = json.nullable("pay", "method")?.choice(of: Method.self).then { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            _ = json.object("pay") { pay in
                _ = pay.choice("method", of: Method.self).then { _ in try pay.string("token", bytes: 1...9).value }
            }
        },
        { json in
            _ = json.choice("pay", "method", of: Method.self)
                .refined(code: "pay.method", message: "No.") { $0 == .card ? $0 : nil }
                .then { _ in try json.string("pay", "token", bytes: 1...9).value }
        },
    ]

    /// Those that are read through a reader of the object `pay`; the others through the one of the body.
    private static let throughPay = [1, 4]

    @Test("a wrong decision leaves open what the object read from should have, nothing outside of it", arguments: 0..<6)
    func wrongDecision(_ way: Int) {
        #expect(
            problems(#"{"pay":{"method":"cash","token":"x","o":{"p":1}},"extra":1}"#) { json in
                _ = json.optional("pay", "o")?.object { $0.optional("q") == nil }
                Self.decisions[way](json)
            } == ["/pay/method validation.unknown_choice"] + Self.extra(way)
        )
    }

    private static func extra(_ way: Int) -> [String] {
        throughPay.contains(way) ? ["/extra validation.unknown_field"] : []
    }

    @Test("the same for a decision that is missing", arguments: [0, 1, 4, 5])
    func missingDecision(_ way: Int) {
        #expect(
            problems(#"{"pay":{"token":"x"},"extra":1}"#) { Self.decisions[way]($0) }
                == ["/pay/method validation.required"] + Self.extra(way)
        )
    }

    @Test("a decision that a refinement refused leaves its object open too")
    func refusedDecision() {
        #expect(
            problems(#"{"pay":{"method":"transfer","token":"x"},"extra":1}"#) { Self.decisions[5]($0) }
                == ["/pay/method pay.method"]
        )
    }

    @Test("a decision whose object is missing leaves open what the object read from should have")
    func decisionWithoutObject() {
        #expect(problems(#"{"token":"x"}"#) { Self.decisions[0]($0) } == ["/pay validation.required"])
    }

    @Test(
        "a decision at the end of a path leaves open every object on the path, wherever the path ends",
        arguments: [
            (#"{"token":"x","method":{"a":1}}"#, "/pay/method/kind validation.required"),
            (#"{"token":"x","method":{"kind":"cash","a":1}}"#, "/pay/method/kind validation.unknown_choice"),
            (#"{"token":"x","method":{"kind":"transfer","a":1}}"#, "/pay/method/kind pay.method"),
            (#"{"token":"x","method":"card"}"#, "/pay/method validation.wrong_type"),
            (#"{"token":"x"}"#, "/pay/method validation.required"),
        ]
    )
    func decisionAtTheEndOfAPath(_ pay: String, _ problem: String) {
        func read(_ pay: JSONReader) {
            _ = pay.choice("method", "kind", of: Method.self)
                .refined(code: "pay.method", message: "No.") { $0 == .card ? $0 : nil }
                .then { _ in try pay.string("token", bytes: 1...9).value + pay.string("method", "a", bytes: 1...9).value
                }
        }
        let body = #"{"pay":\#(pay),"extra":1}"#
        #expect(problems(body) { $0.object("pay") { read($0) } } == [problem, "/extra validation.unknown_field"])
        #expect(problems(body) { $0.optional("pay").map(read) } == [problem, "/extra validation.unknown_field"])
    }

    @Test("the same for a decision that is read through a reader that has no value")
    func decisionOfNothing() {
        #expect(
            problems(#"{"pay":{"token":"x","method":"card"},"extra":1}"#) { json in
                json.object("pay") { pay in
                    _ = pay.optional("method", "kind")?.choice(of: Method.self).then { _ in
                        try pay.string("token", bytes: 1...9).value
                    }
                }
            } == ["/pay/method validation.wrong_type", "/extra validation.unknown_field"]
        )
    }
}
