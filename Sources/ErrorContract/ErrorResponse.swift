public import ReliabilityCore

/// What a client gets to see of an error: the HTTP status, the header fields and the JSON body.
///
/// ```swift
/// let refusal = ErrorResponse(error)
/// response.status = refusal.status
/// for field in refusal.headerFields { response.headers[field.name] = field.value }
/// response.body = refusal.jsonBody()
/// ```
///
/// The body is `{"code", "message", "request_id", "details"}` in this order, where each detail is
/// `{"pointer", "code", "message"}`. If not all details are listed, `"details_truncated": true` follows. With a status of
/// 500 or above, a random `incident_id` is the last member; an ``ErrorRenderer`` reports which error belongs to it.
///
/// An error that says nothing about itself — any type that is no ``ReliabilityError`` — or that is of the category
/// `internal` becomes one constant answer: status 500 and code `internal`. Nothing of its text, its type or its cause is
/// in it.
public struct ErrorResponse: Hashable, Sendable {
    /// The HTTP status.
    ///
    /// | category | status |
    /// |---|---|
    /// | `invalid` | 400 |
    /// | `unauthenticated` | 401 |
    /// | `forbidden` | 403 |
    /// | `notFound` | 404 |
    /// | `conflict` | 409 |
    /// | `preconditionFailed` | 412 |
    /// | `tooLarge` | 413 |
    /// | `unprocessable` | 422 |
    /// | `rateLimited` | 429 |
    /// | `cancelled` | 499, which only logs will see: the client has gone |
    /// | `internal` | 500 |
    /// | `unavailable` | 503 |
    /// | `timeout` | 504: what this service waited for did not answer in time |
    ///
    /// Any other category is 500, as if it were `internal`, unless an ``ErrorRenderer`` was given a status for it.
    public let status: Int
    /// The error's code, if it is 1 to 128 bytes of `A–Z a–z 0–9 . _ - : /`.
    ///
    /// Of any other code, the first 128 bytes are left, with each that is not allowed replaced by `_`. For an empty code
    /// there is the category's name.
    public let code: ErrorCode
    /// The error's message, cut at 1,024 bytes.
    public let message: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// What is wrong with each part of the input, the first hundred.
    public let details: [ErrorDetail]
    /// Whether there are more details than are listed.
    public let isTruncated: Bool
    /// The number of seconds after which trying again makes sense, at least 1.
    ///
    /// It is rounded up. Of the categories in the table, only `conflict`, `rateLimited`, `timeout` and `unavailable` have it.
    public let retryAfterSeconds: Int?
    /// The identifier under which the error is logged, 32 hexadecimal digits, or nil if the status is below 500.
    public let incidentID: String?
    private let furtherFields: [HeaderField]

    private struct HeaderField: Hashable {
        let name: String
        let value: String
    }

    /// Renders an error, as ``ErrorRenderer/response(to:requestID:)`` of a renderer without settings does.
    ///
    /// - Parameters:
    ///   - error: Any error.
    ///   - requestID: The identifier of the request; without one, a random one is made.
    public init(_ error: any Error, requestID: CorrelationID? = .current) {
        self = ErrorRenderer().response(to: error, requestID: requestID)
    }

    /// Renders an error that speaks for itself.
    init(
        _ error: any ReliabilityError,
        _ rule: StatusRule,
        _ headerFields: [(name: String, value: String)],
        requestID: CorrelationID
    ) {
        status = rule.status
        code = Self.publicCode(error.code, else: error.category)
        message = error.message.prefix(bytes: Self.messageLimit)
        self.requestID = requestID
        let details = error.details
        self.details = details.prefix(Self.detailLimit).map { detail in
            ErrorDetail(
                pointer: Self.publicPointer(detail.pointer),
                code: Self.publicCode(detail.code, else: error.category),
                message: detail.message.prefix(bytes: Self.messageLimit)
            )
        }
        isTruncated = error.isTruncated || details.count > Self.detailLimit
        retryAfterSeconds = rule.mayRetry ? error.retryAfter.map(Self.wholeSeconds) : nil
        incidentID = rule.status >= 500 ? randomHexadecimal(bytes: 16) : nil
        furtherFields = headerFields.filter(Self.isAllowed).map { HeaderField(name: $0.name, value: $0.value) }
    }

    /// The constant answer to an error of which nothing may be said.
    init(internalFor requestID: CorrelationID) {
        status = 500
        code = "internal"
        message = "Something went wrong on our side."
        self.requestID = requestID
        details = []
        isTruncated = false
        retryAfterSeconds = nil
        incidentID = randomHexadecimal(bytes: 16)
        furtherFields = []
    }
}

// What goes on the wire.
extension ErrorResponse {
    /// The media type of the body.
    public static let contentType = "application/json"

    /// `content-type`, `retry-after` where there is one, and what an ``ErrorRenderer`` added.
    ///
    /// The names of the first two are in lower case.
    public var headerFields: [(name: String, value: String)] {
        var fields = [(name: "content-type", value: Self.contentType)]
        if let retryAfterSeconds { fields.append((name: "retry-after", value: String(retryAfterSeconds))) }
        return fields + furtherFields.map { ($0.name, $0.value) }
    }

    /// The body, in UTF-8.
    ///
    /// Encoding cannot fail. Control, formatting and bidirectional characters are escaped.
    public func jsonBody() -> [UInt8] {
        var body: [UInt8] = []
        body.reserveCapacity(256 + 128 * details.count)
        append(#"{"code":"#, code.rawValue, to: &body)
        append(#","message":"#, message, to: &body)
        append(#","request_id":"#, requestID.description, to: &body)
        body.append(contentsOf: #","details":["#.utf8)
        for (position, detail) in details.enumerated() {
            append(position == 0 ? #"{"pointer":"# : #",{"pointer":"#, detail.pointer, to: &body)
            append(#","code":"#, detail.code.rawValue, to: &body)
            append(#","message":"#, detail.message, to: &body)
            body.append(UInt8(ascii: "}"))
        }
        body.append(UInt8(ascii: "]"))
        if isTruncated { body.append(contentsOf: #","details_truncated":true"#.utf8) }
        if let incidentID { append(#","incident_id":"#, incidentID, to: &body) }
        body.append(UInt8(ascii: "}"))
        return body
    }

    private func append(_ literal: String, _ text: String, to body: inout [UInt8]) {
        body.append(contentsOf: literal.utf8)
        appendJSON(text, to: &body)
    }
}

// What is made of what an error says about itself.
extension ErrorResponse {
    private static let messageLimit = 1024
    private static let pointerLimit = 512
    private static let detailLimit = 100

    private static let codeLimit = 128

    private static func publicCode(_ code: ErrorCode, else category: ErrorCategory) -> ErrorCode {
        let text = code.rawValue.isEmpty ? category.rawValue : code.rawValue
        if text.utf8.count <= codeLimit, text.utf8.allSatisfy(isAllowedInCode) { return ErrorCode(rawValue: text) }
        let bytes = text.utf8.prefix(codeLimit).map { isAllowedInCode($0) ? $0 : UInt8(ascii: "_") }
        return ErrorCode(rawValue: String(decoding: bytes, as: UTF8.self))
    }

    private static func isAllowedInCode(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "._-:/".utf8.contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    /// Whether a field can be sent (RFC 9110, sections 5.1 and 5.5) and is not one of those that are there anyway.
    private static func isAllowed(name: String, value: String) -> Bool {
        let isToken =
            !name.isEmpty && name.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }
        let isOurs = ["content-type", "content-length", "retry-after"].contains(name.lowercased())
        return isToken && !isOurs && value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
    }

    /// The pointer, or if it is too long, the longest part of it that points to something.
    private static func publicPointer(_ pointer: String) -> String {
        let short = pointer.prefix(bytes: pointerLimit)
        if short.utf8.count == pointer.utf8.count { return pointer }
        let end = short.utf8.lastIndex(of: UInt8(ascii: "/")) ?? short.startIndex
        return String(short[..<end])
    }

    private static func wholeSeconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        let ceiling = seconds.saturatingAdd(attoseconds > 0 ? 1 : 0)
        // Some clients read it into 32 bits.
        return Int(min(max(1, ceiling), Int64(Int32.max)))
    }
}

extension String {
    /// As many whole scalars from the beginning as fit into so many bytes.
    fileprivate func prefix(bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        // A string rounds an index within a scalar down to the scalar's beginning (SE-0180).
        return String(self[..<utf8.index(startIndex, offsetBy: limit)])
    }
}
