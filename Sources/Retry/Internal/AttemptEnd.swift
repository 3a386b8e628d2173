/// How an attempt ended.
@usableFromInline
enum AttemptEnd<Success> {
    case succeeded(Success)
    /// With a result that is to be tried again.
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
