internal import ReliabilityCore

/// The HTTP status of an error that may be shown to a client.
struct StatusRule {
    let status: Int
    /// A Boolean value that indicates whether the response may have a `retry-after` field.
    let mayRetry: Bool

    /// Creates the rule for a category, or returns `nil` for `internal` and for a category without a status.
    init?(_ category: ErrorCategory, _ statuses: [ErrorCategory: Int]) {
        guard category != .internal, let status = statuses[category] ?? category.httpStatus else { return nil }
        self.status = status
        // For a category of the application's own, the error's `retryAfter` decides.
        mayRetry = category.httpStatus == nil || category == .conflict || category.isTransient
    }
}
