import ErrorContract
import ReliabilityCore
import Testing

@Suite("ErrorResponse")
struct ErrorResponseTests {
    @Test(
        "every category has its status",
        arguments: [
            (ErrorCategory.invalid, 400), (.unauthenticated, 401), (.forbidden, 403), (.notFound, 404),
            (.conflict, 409),
            (.preconditionFailed, 412), (.tooLarge, 413), (.unprocessable, 422), (.rateLimited, 429), (.cancelled, 499),
            (.internal, 500), (.unavailable, 503), (.timeout, 504), (ErrorCategory(rawValue: "teapot"), 500),
            (ErrorCategory(rawValue: ""), 500),
        ]
    )
    func status(_ category: ErrorCategory, _ status: Int) {
        #expect(ErrorResponse(SampleError(category: category)).status == status)
    }

    @Test("the body has its members in order")
    func memberOrder() {
        let error = SampleError(details: [
            ErrorDetail(pointer: "/items/0", code: "validation.required", message: "Is required."),
            ErrorDetail(pointer: "", code: "order.total", message: "Must add up."),
        ])
        #expect(
            ErrorResponse(error, requestID: requestID).jsonBody().text
                == #"{"code":"order.rejected","message":"The order was rejected.","request_id":"request-1","details":["#
                + #"{"pointer":"/items/0","code":"validation.required","message":"Is required."},"#
                + #"{"pointer":"","code":"order.total","message":"Must add up."}]}"#
        )
    }

    @Test("the array of details is empty without details")
    func noDetails() {
        let body = ErrorResponse(SampleError(), requestID: requestID).jsonBody().text
        #expect(body.hasSuffix(#""request_id":"request-1","details":[]}"#))
    }

    @Test("the request ID defaults to the task's correlation ID")
    func taskRequestID() async {
        await withCorrelationID(requestID) {
            #expect(ErrorResponse(SampleError()).requestID == requestID)
        }
    }

    @Test("the request ID is random without a correlation ID")
    func randomRequestID() {
        let first = ErrorResponse(SampleError()).requestID
        let second = ErrorResponse(SampleError(), requestID: nil).requestID
        #expect(first != second)
        #expect(first.description.utf8.count == 32)
    }

    @Test(
        "a code of letters, digits and . _ - : / is kept",
        arguments: [
            "order-total", "Order.Rejected", "order.line_1", "ORDER:42", "shop/order-total", "a", "-",
            String(repeating: "a", count: 128),
        ]
    )
    func keptCode(_ code: String) {
        let detail = ErrorDetail(pointer: "", code: ErrorCode(rawValue: code), message: "")
        let response = ErrorResponse(SampleError(code: ErrorCode(rawValue: code), details: [detail]))
        #expect(response.code.rawValue == code)
        #expect(response.details.first?.code.rawValue == code)
    }

    @Test(
        "other bytes of a code become underscores, and a long code is cut",
        arguments: [
            ("order rejected", "order_rejected"), ("a\nb", "a_b"), ("a\0", "a_"), ("a\"b\\c", "a_b_c"),
            ("\u{E9}", "__"), ("a\u{202E}", "a___"), (" ", "_"),
            (String(repeating: "b", count: 200), String(repeating: "b", count: 128)),
        ]
    )
    func replacedBytes(_ code: String, _ expected: String) {
        let detail = ErrorDetail(pointer: "", code: ErrorCode(rawValue: code), message: "")
        let response = ErrorResponse(
            SampleError(code: ErrorCode(rawValue: code), category: .conflict, details: [detail])
        )
        #expect(response.code.rawValue == expected)
        #expect(response.details.first?.code.rawValue == expected)
    }

    @Test("an empty code becomes the category")
    func emptyCode() {
        let detail = ErrorDetail(pointer: "", code: "", message: "")
        let response = ErrorResponse(SampleError(code: "", category: .conflict, details: [detail]))
        #expect(response.code == "conflict")
        #expect(response.details.first?.code == "conflict")
    }

    @Test(
        "at most a hundred details are rendered, and the body states whether details were cut",
        arguments: [0, 99, 100, 101, 1000]
    )
    func manyDetails(_ count: Int) {
        let details = (0..<count).map { ErrorDetail(pointer: "/\($0)", code: "a", message: "b") }
        let response = ErrorResponse(SampleError(details: details), requestID: requestID)
        #expect(response.details == Array(details.prefix(100)))
        let end = count > 100 ? #""}],"details_truncated":true}"# : count > 0 ? #""}]}"# : #"[]}"#
        #expect(response.jsonBody().text.hasSuffix(end))
    }

    @Test("the body states that an error lists only some of its details")
    func truncatedError() {
        let error = SampleError(details: [ErrorDetail(pointer: "", code: "a", message: "b")], isTruncated: true)
        let response = ErrorResponse(error, requestID: requestID)
        #expect(response.isTruncated)
        #expect(response.jsonBody().text.hasSuffix(#""message":"b"}],"details_truncated":true}"#))
        #expect(!ErrorResponse(SampleError()).isTruncated)
    }

    @Test("a long message is cut between scalars")
    func longMessages() {
        // 1,023 bytes, then scalars of two to four bytes that do not fit.
        let start = String(repeating: "a", count: 1023)
        for scalar in ["é", "€", "😀"] {
            #expect(ErrorResponse(SampleError(message: start + scalar)).message == start)
            let detail = ErrorDetail(pointer: "", code: "a", message: start + scalar)
            #expect(ErrorResponse(SampleError(details: [detail])).details.first?.message == start)
        }
        #expect(ErrorResponse(SampleError(message: start + "bc")).message == start + "b")
        #expect(ErrorResponse(SampleError(message: start + "b")).message == start + "b")
        let zalgo = "a" + String(repeating: "\u{301}", count: 10_000)
        #expect(ErrorResponse(SampleError(message: zalgo)).message.utf8.count == 1023)
    }

    @Test("a long pointer is cut to an ancestor")
    func longPointer() {
        let long = "/a/b/" + String(repeating: "c", count: 600)
        let detail = ErrorDetail(pointer: long, code: "a", message: "")
        #expect(ErrorResponse(SampleError(details: [detail])).details.first?.pointer == "/a/b")
    }
}

@Suite("ErrorResponse: retry-after")
struct ErrorResponseRetryAfterTests {
    private func seconds(_ duration: Duration?, _ category: ErrorCategory = .rateLimited) -> Int? {
        ErrorResponse(SampleError(category: category, retryAfter: duration)).retryAfterSeconds
    }

    @Test(
        "the seconds are rounded up and are at least one",
        arguments: [
            (Duration.zero, 1), (.nanoseconds(1), 1), (.milliseconds(999), 1), (.seconds(1), 1),
            (.milliseconds(1001), 2),
            (.seconds(1) + Duration(secondsComponent: 0, attosecondsComponent: 1), 2), (.seconds(59.5), 60),
            (.seconds(3600), 3600), (.seconds(-5), 1), (.seconds(Int64.max), 2_147_483_647),
            (.seconds(Int64.min), 1), (Duration(secondsComponent: .max, attosecondsComponent: 1), 2_147_483_647),
        ]
    )
    func rounding(_ duration: Duration, _ expected: Int) {
        #expect(seconds(duration) == expected)
    }

    @Test("only an error that can pass has a retry-after")
    func categories() {
        #expect(seconds(nil) == nil)
        for category in [ErrorCategory.conflict, .rateLimited, .unavailable, .timeout] {
            #expect(seconds(.seconds(2), category) == 2)
        }
        for category in [
            ErrorCategory.invalid, .unauthenticated, .forbidden, .notFound, .preconditionFailed, .tooLarge,
            .unprocessable, .cancelled, .internal,
        ] {
            #expect(seconds(.seconds(2), category) == nil)
        }
    }

    @Test("the header fields contain the seconds")
    func headerFields() {
        let limited = ErrorResponse(SampleError(category: .rateLimited, retryAfter: .seconds(1.5)))
        #expect(limited.headerFields.map(\.name) == ["content-type", "retry-after"])
        #expect(limited.headerFields.map(\.value) == ["application/json", "2"])
        #expect(ErrorResponse(SampleError()).headerFields.map(\.name) == ["content-type"])
    }
}

@Suite("ErrorResponse: escaping")
struct ErrorResponseEscapingTests {
    private func escaped(_ message: String) -> String {
        let body = ErrorResponse(SampleError(message: message), requestID: requestID).jsonBody().text
        let start = #"{"code":"order.rejected","message":"#
        let end = #","request_id":"request-1","details":[]}"#
        #expect(body.hasPrefix(start) && body.hasSuffix(end))
        return String(body.dropFirst(start.count).dropLast(end.count))
    }

    @Test(
        "control characters and invisible characters are escaped",
        arguments: [
            ("", #""""#), ("a\"b\\c", #""a\"b\\c""#), ("a/b<c>&'", #""a/b<c>&'""#),
            ("\0\u{1}\u{1F}\u{7F}", #""\u0000\u0001\u001f\u007f""#), ("a\r\nb\tc", #""a\u000d\u000ab\u0009c""#),
            ("\u{80}\u{9F}", #""\u0080\u009f""#), ("\u{2028}\u{2029}", #""\u2028\u2029""#),
            ("\u{202E}\u{2066}\u{2069}\u{200E}\u{61C}", #""\u202e\u2066\u2069\u200e\u061c""#),
            ("\u{FEFF}\u{200B}\u{AD}", #""\ufeff\u200b\u00ad""#), ("\u{E0041}", #""\udb40\udc41""#),
            ("\u{3164}\u{115F}\u{E0000}", #""\u3164\u115f\udb40\udc00""#), ("❤\u{FE0F}", "\"❤\u{FE0F}\""),
            ("a\u{E0100}\u{180B}", #""a\udb40\udd00\u180b""#),
            ("é€😀", #""é€😀""#), ("e\u{301}", "\"e\u{301}\""), ("\u{10FFFF}", "\"\u{10FFFF}\""),
        ]
    )
    func text(_ text: String, _ expected: String) {
        #expect(Array(escaped(text).utf8) == Array(expected.utf8))
    }

    @Test("every scalar becomes valid UTF-8 without control characters")
    func everyScalar() {
        for value in stride(from: UInt32(0), through: 0x10FFFF, by: 37) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let bytes = ErrorResponse(SampleError(message: String(scalar)), requestID: requestID).jsonBody()
            #expect(String(validating: bytes, as: UTF8.self) != nil)
            #expect(bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        }
    }

    @Test("pointers are escaped")
    func pointers() {
        let detail = ErrorDetail(pointer: "/a\"\r\n\u{202E}", code: "a", message: "")
        let body = ErrorResponse(SampleError(details: [detail]), requestID: requestID).jsonBody().text
        #expect(body.contains(#"[{"pointer":"/a\"\u000d\u000a\u202e","code":"a","message":""}]"#))
    }
}
