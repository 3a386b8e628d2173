import CircuitBreaker
import ReliabilityCore

/// A permit that can be stored in a collection.
final class Held {
    private var permit: BreakerPermit?

    init(_ breaker: Breaker) throws(BreakerOpenError) { permit = try breaker.acquire() }

    func settle(_ outcome: Outcome) {
        guard let permit = permit.take() else { return }
        switch outcome {
        case .success: permit.succeed()
        case .failure: permit.fail()
        case .ignored: permit.ignore()
        }
    }
}
