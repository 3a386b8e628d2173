public import ReliabilityCore

/// Says everything that is wrong with an input.
///
/// The error's code is `validation.failed`, or `validation.body_too_large`; each detail has a code of its own, all of
/// them listed in the module's documentation. No part of a rejected value is in any message. A pointer names members by
/// their keys, which for unknown and duplicate members are the client's words.
public struct ValidationError: ReliabilityError, Hashable, CustomStringConvertible {
    /// `validation.failed` or `validation.body_too_large`.
    public let code: ErrorCode
    /// `invalid`, or `tooLarge` for a body over the limit.
    public let category: ErrorCategory
    /// A constant sentence.
    public let message: String
    /// What is wrong and where, in the order of the document; a missing field comes where its object begins.
    public let details: [ErrorDetail]
    /// Whether there was more to report than the limit allows.
    public let isTruncated: Bool

    /// Creates an error from what is wrong, for checks made elsewhere than in a body.
    ///
    /// - Parameters:
    ///   - details: What is wrong and where.
    ///   - isTruncated: Whether `details` lists only some of what is wrong.
    public init(_ details: [ErrorDetail], isTruncated: Bool = false) {
        code = "validation.failed"
        category = .invalid
        message = isTruncated ? "The request is invalid; the first problems are listed." : "The request is invalid."
        self.details = details
        self.isTruncated = isTruncated
    }

    init(bodyLimit: Int) {
        code = "validation.body_too_large"
        category = .tooLarge
        message = "The body must not exceed \(Problem.count(bodyLimit, "byte"))."
        details = []
        isTruncated = false
    }

    /// The code and every detail's pointer and code, and whether there are more, for logs.
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
