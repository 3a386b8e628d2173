internal import Reliability

/// The service between the clients and the gateway.
struct StormService: Sendable {
    /// The end of a request.
    enum Result: Sendable {
        case served, shed, failed
    }

    let duration: Duration
    private let policies: any CallPolicy

    init(_ storm: Storm, isGuarded: Bool, clock: some Clock<Duration>) {
        duration = storm.service
        let attempt = storm.service * 5
        let retry = RetryPolicy.Configuration(
            .idempotent,
            maxAttempts: 3,
            backoff: .exponential(initial: .milliseconds(50), max: .milliseconds(200))
        )
        if isGuarded {
            policies = Pipeline {
                TimeoutPolicy(.limit(storm.patience), clock: clock)
                RetryPolicy(retry, budget: RetryBudget(), clock: clock)
                Breaker(.standard, clock: clock)
                BulkheadPolicy(
                    .limit(storm.workers, maxWaiting: storm.workers * 2, maxWait: storm.service * 2),
                    clock: clock
                )
                TimeoutPolicy(.limit(attempt), clock: clock)
            }
        } else {
            policies = Pipeline {
                TimeoutPolicy(.limit(storm.patience), clock: clock)
                RetryPolicy(retry, budget: nil, clock: clock)
                TimeoutPolicy(.limit(attempt), clock: clock)
            }
        }
    }

    func call(_ priority: CallPriority, _ operation: () async throws -> Void) async -> Result {
        do {
            try await withPriority(priority) { try await policies.run(operation) }
            return .served
        } catch {
            let isShed = (error as? any ReliabilityError)?.codes.contains { $0.rawValue.hasPrefix("bulkhead.") } == true
            return isShed ? .shed : .failed
        }
    }
}
