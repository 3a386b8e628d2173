package import ReliabilityCore

extension Breaker {
    /// The evidence of an error about the dependency.
    package struct Judgement: Sendable {
        let outcome: Outcome
        /// The time for which the dependency asked for no calls, or `nil` if the dependency did not ask.
        let retryAfter: Duration?

        /// Creates the judgement of an error with an outcome.
        package init(_ outcome: Outcome, of error: any Error) {
            self.outcome = outcome
            let decisive = (error as? any AttemptsError)?.decisiveError ?? error
            let meaning = decisive.reliability
            let isFromDependency = meaning?.category == .unavailable || meaning?.category == .rateLimited
            retryAfter = isFromDependency && !decisive.isRejection ? meaning?.retryAfter : nil
        }
    }
}
