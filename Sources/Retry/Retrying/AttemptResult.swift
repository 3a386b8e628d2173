/// The end of an attempt.
@usableFromInline
enum AttemptResult<Success> {
    case succeeded(Success)
    /// The attempt returned a result that the caller's classification wants to retry.
    case returned(Success, RetryDecision)
    case threw(any Error)

    nonisolated(nonsending) init(
        _ decide: (Success) -> RetryDecision,
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async {
        do {
            let success = try await operation()
            let decision = decide(success)
            self = decision == .stop ? .succeeded(success) : .returned(success, decision)
        } catch {
            self = .threw(error)
        }
    }
}
