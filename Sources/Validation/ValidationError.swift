public import ReliabilityCore

/// The error for an invalid input with a detail for every issue.
///
/// The error's code is `validation.failed` or `validation.body_too_large`. Each detail has its own code. The module's
/// documentation lists all codes. No message contains any part of a rejected value. A pointer contains keys. The client
/// chose the keys of unknown and duplicate members.
public struct ValidationError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The code `validation.failed` or `validation.body_too_large`.
    public let code: ErrorCode
    /// The category `invalid`, or `tooLarge` for a body over the limit.
    public let category: ErrorCategory
    /// The message for clients without any part of the input.
    public let message: String
    /// The issues and their pointers, in document order.
    ///
    /// A missing field is listed where its object begins.
    public let details: [ErrorDetail]
    /// A Boolean value that indicates whether the input has more issues than the error lists.
    public let isTruncated: Bool

    /// Creates an error from details, for checks made outside a validator.
    ///
    /// - Parameters:
    ///   - details: The issues and their pointers.
    ///   - isTruncated: A Boolean value that indicates whether `details` lists only some of the issues. Defaults to
    ///     `false`.
    public init(_ details: [ErrorDetail], isTruncated: Bool = false) {
        code = "validation.failed"
        category = .invalid
        message =
            isTruncated ? "The request is invalid. Only the first issues are listed." : "The request is invalid."
        self.details = details
        self.isTruncated = isTruncated
    }

    init(maxBodyBytes: Int) {
        code = "validation.body_too_large"
        category = .tooLarge
        message = "The body must not exceed \(Issue.count(maxBodyBytes, "byte"))."
        details = []
        isTruncated = false
    }

    /// The code with every detail's pointer and code, for logs.
    ///
    /// The description of a truncated list ends with `and more`.
    public var description: String {
        if details.isEmpty { return code.rawValue }
        var text = Array("\(code):".utf8)
        for detail in details {
            text.append(UInt8(ascii: " "))
            appendJSON(detail.pointer, to: &text)
            text.append(contentsOf: " \(detail.code)".utf8)
        }
        if isTruncated { text.append(contentsOf: ", and more".utf8) }
        return String(decoding: text, as: UTF8.self)
    }
}
