internal import ReliabilityCore

/// The HTTP status of a category of errors that may speak for themselves.
struct StatusRule {
    let status: Int
    /// Whether the same request can succeed later, so that saying when makes sense.
    let mayRetry: Bool

    /// Nil for `internal`, and for a category that has no status.
    init?(_ category: ErrorCategory, _ statuses: [ErrorCategory: Int]) {
        let known: (status: Int, mayRetry: Bool)? =
            switch category {
            case .invalid: (400, false)
            case .unauthenticated: (401, false)
            case .forbidden: (403, false)
            case .notFound: (404, false)
            case .conflict: (409, true)
            case .preconditionFailed: (412, false)
            case .tooLarge: (413, false)
            case .unprocessable: (422, false)
            case .rateLimited: (429, true)
            case .cancelled: (499, false)
            case .unavailable: (503, true)
            case .timeout: (504, true)
            default: nil
            }
        guard category != .internal, let status = statuses[category] ?? known?.status else { return nil }
        self.status = status
        // Of a category of the application's own, only its errors know.
        mayRetry = known?.mayRetry ?? true
    }
}
