public import ReliabilityCore

/// The response to an error: the HTTP status, the header fields and the JSON body.
///
/// ```swift
/// let response = ErrorResponse(error)
/// send(status: response.status, headers: response.headerFields, body: response.jsonBody())
/// ```
///
/// The body is `{"code", "message", "request_id", "details"}` in this order. Each detail is
/// `{"pointer", "code", "message"}`. The member `"details_truncated": true` follows if not all details are listed. A
/// body with a status of 500 or above ends with a random `incident_id`. An ``ErrorRenderer`` reports the error with the
/// same identifier.
///
/// An error that does not conform to `ReliabilityError` has a constant response: status 500 and code `internal`. So
/// does an error of the category `internal`. The response contains nothing of the error's text, type or cause.
public struct ErrorResponse: Hashable, Sendable {
    /// The HTTP status of the error's category.
    ///
    /// The overview of the module has a table of the statuses. A category that is not in the table has the status 500,
    /// unless an ``ErrorRenderer`` has a status for the category.
    public let status: Int
    /// The error's code, in 1 to 128 bytes of `A–Z a–z 0–9 . _ - : /`.
    ///
    /// Any other byte is replaced by `_`. A longer code is cut at 128 bytes. An empty code is replaced by the
    /// category's name.
    public let code: ErrorCode
    /// The error's message, cut at 1,024 bytes.
    public let message: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The first hundred details of the error.
    ///
    /// A message is cut at 1,024 bytes. A pointer of more than 512 bytes is cut to the pointer of an ancestor.
    public let details: [ErrorDetail]
    /// A Boolean value that indicates whether the error has more details than are listed.
    public let isTruncated: Bool
    /// The number of seconds until the next attempt, rounded up and at least 1, or `nil` if there is none.
    ///
    /// The number comes from the error's `retryAfter`. Only the categories `conflict`, `rateLimited`, `timeout` and
    /// `unavailable` and the application's own categories have a number.
    public let retryAfterSeconds: Int?
    /// The identifier of the incident in 32 hexadecimal digits, or `nil` if the status is below 500.
    public let incidentID: String?
    private let additionalFields: [HeaderField]

    private struct HeaderField: Hashable {
        let name: String
        let value: String
    }

    /// Renders an error with the standard configuration and without an observer.
    ///
    /// ``ErrorRenderer/response(to:requestID:)`` describes the treatment of a `CancellationError`.
    ///
    /// - Parameters:
    ///   - error: Any error.
    ///   - requestID: The identifier of the request, or `nil` for a random identifier. Defaults to the identifier of
    ///     the current task.
    public init(_ error: any Error, requestID: CorrelationID? = .current) {
        self = ErrorRenderer().response(to: error, requestID: requestID)
    }

    /// Renders an error that conforms to `ReliabilityError` and has a status.
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
        additionalFields = headerFields.filter(Self.isAllowed).map { HeaderField(name: $0.name, value: $0.value) }
    }

    /// Creates the constant response to an internal or unknown error.
    init(internalFor requestID: CorrelationID) {
        status = 500
        code = "internal"
        message = "Something went wrong on our side."
        self.requestID = requestID
        details = []
        isTruncated = false
        retryAfterSeconds = nil
        incidentID = randomHexadecimal(bytes: 16)
        additionalFields = []
    }
}

// MARK: - Header fields and body

extension ErrorResponse {
    /// The media type of the body.
    public static let contentType = "application/json"

    /// The field `content-type`, the field `retry-after` if there is one, and the fields of an ``ErrorRenderer``.
    ///
    /// The names of the first two fields are in lower case.
    public var headerFields: [(name: String, value: String)] {
        var fields = [(name: "content-type", value: Self.contentType)]
        if let retryAfterSeconds { fields.append((name: "retry-after", value: String(retryAfterSeconds))) }
        return fields + additionalFields.map { ($0.name, $0.value) }
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

// MARK: - Bounds and escaping

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

    /// Returns whether a field is valid (RFC 9110, sections 5.1 and 5.5) and not reserved for the response itself.
    private static func isAllowed(name: String, value: String) -> Bool {
        let isToken =
            !name.isEmpty && name.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+-.^_`|~".utf8.contains($0) }
        let isReserved = ["content-type", "content-length", "retry-after"].contains(name.lowercased())
        return isToken && !isReserved && value.utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
    }

    /// Returns the pointer, or the pointer of the nearest ancestor that is short enough.
    private static func publicPointer(_ pointer: String) -> String {
        let short = pointer.prefix(bytes: pointerLimit)
        if short.utf8.count == pointer.utf8.count { return pointer }
        let end = short.utf8.lastIndex(of: UInt8(ascii: "/")) ?? short.startIndex
        return String(short[..<end])
    }

    private static func wholeSeconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        let ceiling = seconds.saturatingAdd(attoseconds > 0 ? 1 : 0)
        // Some clients read the number into 32 bits.
        return Int(min(max(1, ceiling), Int64(Int32.max)))
    }
}
