import ReliabilityCore
import Testing
import Validation

@Suite("Unread fields are not reported as unknown")
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

    // Errors of the application.

    @Test("An application's error reaches the caller despite unread fields")
    func ownError() {
        let error = thrown(#"{"a":1,"b":2}"#) { json in
            guard try json.integer("a", in: 0...9).value == 0 else { throw OutOfStock() }
            return try json.integer("b", in: 0...9).value
        }
        #expect(error is OutOfStock)
    }

    @Test("An application's error from an object, an item, a rule, map and compactMap reaches the caller")
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
            { _ = $0.integer("c", in: 0...9).map { _ in throw OutOfStock() } },
            {
                _ = $0.integer("c", in: 0...9).compactMap(code: "c.wrong", message: "No.") { _ -> Int? in
                    throw OutOfStock()
                }
            },
        ]
        for (number, read) in reads.enumerated() { #expect(thrown(body, read) is OutOfStock, "read \(number)") }
    }

    @Test("An application's error precedes unknown members and follows wrong fields")
    func ownErrorBesideIssues() {
        let body = #"{"o":{"a":1,"extra":2},"c":"x"}"#
        #expect(
            thrown(body) { json in
                _ = try json.object("o") { try $0.integer("a", in: 0...9).value }.value
                throw OutOfStock()
            } is OutOfStock
        )
        #expect(
            issues(body) { json in
                _ = json.integer("c", in: 0...9)
                throw OutOfStock()
            } == ["/c validation.wrong_type"]
        )
    }

    @Test("The value of a field whose closure threw an application's error throws that error")
    func ownErrorFromValue() {
        let error = thrown(#"{"c":3}"#) { json in
            let field = json.integer("c", in: 0...9).map { _ -> Int in throw OutOfStock() }
            #expect(throws: OutOfStock()) { try field.value }
            return try field.value
        }
        #expect(error is OutOfStock)
    }

    // Values taken while reading.

    @Test("If values are taken while reading, only the first wrong field is reported")
    func inline() {
        #expect(
            issues(#"{"a":"x","b":2,"c":{"d":3}}"#) { json in
                try [
                    json.integer("a", in: 0...9).value, json.integer("b", in: 0...9).value,
                    json.integer("c", "d", in: 0...9).value,
                ]
            } == ["/a validation.wrong_type"]
        )
    }

    @Test("Values taken while reading: unread members of an object on a path are not unknown")
    func inlineBesideAPath() {
        #expect(
            issues(#"{"customer":{"email":"x","name":"y"}}"#) { json in
                try [json.email("customer", "email").value, json.string("customer", "name", bytes: 1...9).value]
            } == ["/customer/email validation.invalid_email"]
        )
    }

    @Test("Values taken while reading: unread members of optional and enclosing objects are not unknown")
    func inlineFurtherOut() {
        #expect(
            issues(#"{"o":{"a":"x","b":2}}"#) { json in
                guard let o = json.optional("o") else { return [] }
                return try [o.integer("a", in: 0...9).value, o.integer("b", in: 0...9).value]
            } == ["/o/a validation.wrong_type"]
        )
        #expect(
            issues(#"{"o":{"a":"x"},"b":2,"p":{"c":1,"d":2}}"#) { json in
                // The value is not taken, so only the inner closure ends early.
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

    @Test("A conditional member is not unknown while the deciding value is wrong")
    func conditional() {
        func read(_ json: JSONReader) throws -> String {
            let id = json.string("id", bytes: 1...9)
            let method = json.choice("method", of: Method.self)
            switch try method.value {
            case .card: return try id.value + json.string("token", bytes: 1...9).value
            case .transfer: return try id.value + json.string("iban", bytes: 1...9).value
            }
        }
        #expect(issues(#"{"id":"1","method":"cash","token":"x"}"#, read) == ["/method validation.unknown_choice"])
        #expect(
            issues(#"{"id":"1","method":"card","token":"x","iban":"y"}"#, read) == ["/iban validation.unknown_field"]
        )
    }

    @Test("Unknown members of a completely read object are reported despite issues elsewhere")
    func finishedObjects() {
        #expect(
            issues(#"{"list":[{"a":1,"x":0},{"a":"y","x":0},{"a":2}],"extra":0}"#) { json in
                try json.array("list", count: 0...9) { try $0.integer("a", in: 0...9).value }.value
            } == ["/list/0/x validation.unknown_field", "/list/1/a validation.wrong_type"]
        )
    }

    @Test("Unknown members are reported with other issues if the closure returned")
    func finishedRoot() {
        #expect(
            issues(#"{"a":"x","b":1}"#) { _ = $0.bool("a") }
                == ["/a validation.wrong_type", "/b validation.unknown_field"]
        )
    }

    @Test("An error caught inside the closure leaves its object completely read")
    func caught() {
        #expect(
            issues(#"{"a":"x","b":1}"#) { json in (try? json.integer("a", in: 0...9).value) ?? 0 }
                == ["/a validation.wrong_type", "/b validation.unknown_field"]
        )
    }

    // Deciding fields.

    /// Different ways to read a deciding field and the fields that depend on it.
    private static let decisions: [@Sendable (JSONReader) -> Void] = [
        { json in
            _ = json.choice("pay", "method", of: Method.self).map { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            guard let pay = json.optional("pay") else { return }
            _ = pay.choice("method", of: Method.self).map { _ in try pay.string("token", bytes: 1...9).value }
        },
        { json in
            _ = json.optional("pay", "method")?.choice(of: Method.self).map { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            _ = json.nullable("pay", "method")?.choice(of: Method.self).map { _ in
                try json.string("pay", "token", bytes: 1...9).value
            }
        },
        { json in
            _ = json.object("pay") { pay in
                _ = pay.choice("method", of: Method.self).map { _ in try pay.string("token", bytes: 1...9).value }
            }
        },
        { json in
            _ = json.choice("pay", "method", of: Method.self)
                .compactMap(code: "pay.method", message: "No.") { $0 == .card ? $0 : nil }
                .map { _ in try json.string("pay", "token", bytes: 1...9).value }
        },
    ]

    /// The indices of the ways that read through a reader of `pay` and not of the body.
    private static let throughPay = [1, 4]

    @Test("A wrong deciding field leaves its object undecided and no object outside", arguments: 0..<6)
    func wrongDecision(_ way: Int) {
        #expect(
            issues(#"{"pay":{"method":"cash","token":"x","o":{"p":1}},"extra":1}"#) { json in
                _ = json.optional("pay", "o")?.object { $0.optional("q") == nil }
                Self.decisions[way](json)
            } == ["/pay/method validation.unknown_choice"] + Self.extra(way)
        )
    }

    private static func extra(_ way: Int) -> [String] {
        throughPay.contains(way) ? ["/extra validation.unknown_field"] : []
    }

    @Test("A missing deciding field leaves its object undecided", arguments: [0, 1, 4, 5])
    func missingDecision(_ way: Int) {
        #expect(
            issues(#"{"pay":{"token":"x"},"extra":1}"#) { Self.decisions[way]($0) }
                == ["/pay/method validation.required"] + Self.extra(way)
        )
    }

    @Test("A deciding field that compactMap rejected leaves its object undecided")
    func rejectedDecision() {
        #expect(
            issues(#"{"pay":{"method":"transfer","token":"x"},"extra":1}"#) { Self.decisions[5]($0) }
                == ["/pay/method pay.method"]
        )
    }

    @Test("A deciding field in a missing object leaves the enclosing object undecided")
    func decisionWithoutObject() {
        #expect(issues(#"{"token":"x"}"#) { Self.decisions[0]($0) } == ["/pay validation.required"])
    }

    @Test(
        "A deciding field at the end of a path leaves every object on the path undecided",
        arguments: [
            (#"{"token":"x","method":{"a":1}}"#, "/pay/method/kind validation.required"),
            (#"{"token":"x","method":{"kind":"cash","a":1}}"#, "/pay/method/kind validation.unknown_choice"),
            (#"{"token":"x","method":{"kind":"transfer","a":1}}"#, "/pay/method/kind pay.method"),
            (#"{"token":"x","method":"card"}"#, "/pay/method validation.wrong_type"),
            (#"{"token":"x"}"#, "/pay/method validation.required"),
        ]
    )
    func decisionAtTheEndOfAPath(_ pay: String, _ issue: String) {
        func read(_ pay: JSONReader) {
            _ = pay.choice("method", "kind", of: Method.self)
                .compactMap(code: "pay.method", message: "No.") { $0 == .card ? $0 : nil }
                .map { _ in try pay.string("token", bytes: 1...9).value + pay.string("method", "a", bytes: 1...9).value
                }
        }
        let body = #"{"pay":\#(pay),"extra":1}"#
        #expect(issues(body) { $0.object("pay") { read($0) } } == [issue, "/extra validation.unknown_field"])
        #expect(issues(body) { $0.optional("pay").map(read) } == [issue, "/extra validation.unknown_field"])
    }

    @Test("A deciding field read through an invalid reader leaves its object undecided")
    func decisionOfNothing() {
        #expect(
            issues(#"{"pay":{"token":"x","method":"card"},"extra":1}"#) { json in
                json.object("pay") { pay in
                    _ = pay.optional("method", "kind")?.choice(of: Method.self).map { _ in
                        try pay.string("token", bytes: 1...9).value
                    }
                }
            } == ["/pay/method validation.wrong_type", "/extra validation.unknown_field"]
        )
    }
}
