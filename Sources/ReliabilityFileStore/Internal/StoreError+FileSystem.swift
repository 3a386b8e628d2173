internal import ReliabilityStore

extension StoreError {
    static var noThread: StoreError {
        StoreError(.unavailable, "the operating system could not start a thread for the store")
    }

    static var cancelled: StoreError { StoreError(.cancelled, "the task was cancelled before the write") }

    static func unknownOutcome(_ failure: StoreError) -> StoreError {
        StoreError(
            .unknownOutcome,
            "the store failed before the write was known to be durable",
            underlyingError: failure
        )
    }

    init(_ error: FileSystemError) {
        let reason: Reason =
            switch error.kind {
            case .noSpace: .diskFull
            case .locked: .locked
            case .rejected: .invalid
            case .readOnly: .readOnly
            case .notFound, .unsupported, .other: .unavailable
            }
        self.init(reason, error.explanation, underlyingError: error)
    }
}
