internal import ReliabilityCore

/// The HTTP status of a category of errors that may speak for themselves.
struct StatusRule {
    let status: Int
    /// Whether the same request can succeed later, so that saying when makes sense.
    let mayRetry: Bool

    /// Nil for `internal`, and for a category that this version does not know.
    init?(_ category: ErrorCategory) {
        switch category {
        case .invalid: (status, mayRetry) = (400, false)
        case .unauthenticated: (status, mayRetry) = (401, false)
        case .forbidden: (status, mayRetry) = (403, false)
        case .notFound: (status, mayRetry) = (404, false)
        case .conflict: (status, mayRetry) = (409, true)
        case .preconditionFailed: (status, mayRetry) = (412, false)
        case .tooLarge: (status, mayRetry) = (413, false)
        case .unprocessable: (status, mayRetry) = (422, false)
        case .rateLimited: (status, mayRetry) = (429, true)
        case .cancelled: (status, mayRetry) = (499, false)
        case .unavailable: (status, mayRetry) = (503, true)
        case .timeout: (status, mayRetry) = (504, true)
        default: return nil
        }
    }
}
