internal import ReliabilityCore

/// A fault that a ``ChaosPolicy`` injects into a call.
public struct ChaosFault: Sendable {
    enum Kind: Sendable {
        case latency(ClosedRange<Duration>)
        case failure(any Error)
        case lostAnswer(any Error)
        case hang
    }
    let kind: Kind

    /// Returns a fault that delays the beginning of a call but not beyond the time for which chaos is armed.
    ///
    /// - Parameter range: The range of delays. Each call draws a delay from this range.
    /// - Returns: The fault.
    /// - Precondition: The lower bound of `range` is not negative.
    public static func latency(_ range: ClosedRange<Duration>) -> ChaosFault {
        requireValid(range.lowerBound >= .zero, "latency must not be negative (is \(range))")
        return ChaosFault(kind: .latency(range))
    }

    /// Returns a fault that throws an error and does not make the call.
    ///
    /// - Parameter error: The error.
    /// - Returns: The fault.
    public static func failure(_ error: any Error) -> ChaosFault { ChaosFault(kind: .failure(error)) }

    /// Returns a fault that makes the call and throws an error in place of its result, as if the answer were lost.
    ///
    /// - Parameter error: The error.
    /// - Returns: The fault.
    public static func lostAnswer(_ error: any Error) -> ChaosFault { ChaosFault(kind: .lostAnswer(error)) }

    /// A fault that delays the beginning of a call until the end of the time for which chaos is armed.
    ///
    /// The caller waits until this time or until its task is cancelled.
    public static let hang = ChaosFault(kind: .hang)

    var summary: String {
        switch kind {
        case .latency(let range): "delays them by \(range.lowerBound) to \(range.upperBound)"
        case .failure: "fails them"
        case .lostAnswer: "loses their answers"
        case .hang: "hangs them"
        }
    }

    /// The longest wait that the fault adds, or `nil` if the wait is unknown.
    var waits: Duration? {
        switch kind {
        case .latency(let range): range.upperBound
        case .failure, .lostAnswer: .zero
        case .hang: nil
        }
    }
}
