internal import ReliabilityCore

/// What a ``ChaosPolicy`` does to a call.
public struct ChaosFault: Sendable {
    enum Kind: Sendable {
        case latency(ClosedRange<Duration>)
        case failure(any Error)
        case lostAnswer(any Error)
        case hang
    }
    let kind: Kind

    /// Begins it later, but not after the time for which chaos was armed.
    ///
    /// - Parameter range: How much later; drawn for each call.
    /// - Returns: The fault.
    /// - Precondition: The range does not begin below zero.
    public static func latency(_ range: ClosedRange<Duration>) -> ChaosFault {
        requireValid(range.lowerBound >= .zero, "a latency must not be negative (is \(range))")
        return ChaosFault(kind: .latency(range))
    }

    /// Does not make it, and throws.
    ///
    /// - Parameter error: What to throw.
    /// - Returns: The fault.
    public static func failure(_ error: any Error) -> ChaosFault { ChaosFault(kind: .failure(error)) }

    /// Makes it, and throws in place of its result: the answer was lost on its way.
    ///
    /// - Parameter error: What to throw.
    /// - Returns: The fault.
    public static func lostAnswer(_ error: any Error) -> ChaosFault { ChaosFault(kind: .lostAnswer(error)) }

    /// Begins it when the time ends for which chaos was armed, and not before: its caller waits, until then or until its
    /// task is cancelled.
    public static let hang = ChaosFault(kind: .hang)

    var summary: String {
        switch kind {
        case .latency(let range): "begins them \(range.lowerBound) to \(range.upperBound) later"
        case .failure: "fails them"
        case .lostAnswer: "loses their answers"
        case .hang: "hangs them"
        }
    }

    /// The longest wait that the fault adds; nil when nobody knows.
    var waits: Duration? {
        switch kind {
        case .latency(let range): range.upperBound
        case .failure, .lostAnswer: .zero
        case .hang: nil
        }
    }
}
