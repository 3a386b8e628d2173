extension ErrorCategory {
    /// Whether the category finds fault with the request: any dependency would answer it in the same way.
    package var isFaultOfRequest: Bool {
        switch self {
        case .invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable:
            true
        default: false
        }
    }
}
