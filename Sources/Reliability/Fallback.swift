internal import ReliabilityCore

/// A replacement for the value of a failed call: the last good value, another source, or a fixed value.
///
/// ```swift
/// let call = ExternalCall("bank", .externalAPI(.idempotent)), lastRates = LastGoodValue<[Int]>(maxAge: .seconds(600))
/// let fallback = Fallback(.stale(lastRates), .source("backup") { try await backup.rates() }, .value([]))
/// let rates = try await fallback.run {
///     try await call.run { try await bank.rates() }
/// }
/// if rates.isFallback { log("rates from \(rates.answer ?? "")") }
/// ```
///
/// The answers are tried in order, and the first answer with a value is used. If no answer has a value, the call's own
/// error is thrown.
///
/// - If the caller cancels the task, the call's own error is thrown. A deadline is not a cancellation by the caller. A
///   fixed value and a stale value answer even if a limit around the fallback has cancelled the task.
/// - By default, a fault of the request is thrown unchanged. The `classify` closure of a policy inside the call does
///   not reach the fallback. For an error that does not conform to `ReliabilityError`, give the fallback the same rule.
/// - A fallback is the outermost part of a call. The time limits inside the fallback have ended by then, so a source
///   needs a limit of its own. After a deadline outside the fallback has passed, no source is called. Only a fixed
///   value and a stale value answer then.
public struct Fallback<Value: Sendable>: Sendable {
    /// A replacement for the value of a call.
    public struct Answer: Sendable {
        enum Kind: Sendable {
            case value(Value)
            case stale(LastGoodValue<Value>)
            case source(@Sendable () async throws -> Value)
        }

        let name: String
        let kind: Kind

        /// A fixed value.
        ///
        /// - Parameter value: The value.
        /// - Returns: The answer with the name “value”.
        public static func value(_ value: Value) -> Answer { Answer(name: "value", kind: .value(value)) }

        /// The last value of the call that is not too old.
        ///
        /// - Parameter last: The holder of the value. The fallback stores the value of each successful call in the
        ///   holder.
        /// - Returns: The answer with the name “stale”.
        public static func stale(_ last: LastGoodValue<Value>) -> Answer { Answer(name: "stale", kind: .stale(last)) }

        /// A value from another source.
        ///
        /// - Parameters:
        ///   - name: The name of the answer in events and results. Defaults to “source”.
        ///   - body: Returns the value. If the closure throws, the next answer is tried.
        /// - Returns: The answer.
        public static func source(
            _ name: String = "source",
            _ body: @escaping @Sendable () async throws -> Value
        ) -> Answer {
            Answer(name: name, kind: .source(body))
        }
    }

    private let answers: [Answer]
    /// The holders that store the call's own values.
    private let lastGoodValues: [LastGoodValue<Value>]
    private let classify: @Sendable (any Error) -> FallbackDecision
    private let events: EventSink<FallbackEvent>

    /// Creates a fallback.
    ///
    /// - Parameters:
    ///   - answers: The answers in order of preference.
    ///   - classify: The decision about an error. The closure is not called if the caller has cancelled the task.
    ///     Defaults to ``FallbackDecision/standard(for:)``.
    ///   - observer: Receives the answers and the failures of sources.
    public init(
        _ answers: Answer...,
        classify: @escaping @Sendable (any Error) -> FallbackDecision = FallbackDecision.standard(for:),
        observer: (@Sendable (FallbackEvent) -> Void)? = nil
    ) {
        self.init(answers: answers, classify: classify, observer: observer)
    }

    init(
        answers: [Answer],
        classify: @escaping @Sendable (any Error) -> FallbackDecision = FallbackDecision.standard(for:),
        observer: (@Sendable (FallbackEvent) -> Void)? = nil
    ) {
        self.answers = answers
        lastGoodValues = answers.compactMap { answer in
            if case .stale(let last) = answer.kind { last } else { nil }
        }
        self.classify = classify
        events = EventSink(observer)
    }

    /// Runs the operation and answers in its place if the operation fails.
    ///
    /// - Parameter operation: The operation with all its policies. It keeps the caller's isolation.
    /// - Returns: The operation's value or the value of an answer.
    /// - Throws: The operation's error if the caller has cancelled the task, `classify` decides to rethrow, or no
    ///   answer has a value.
    nonisolated(nonsending) public func run(
        _ operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> FallbackResult<Value> {
        let starts = lastGoodValues.map(\.timeSource.now)
        do {
            let value = try await operation()
            // A cancelled operation often returns early instead of throwing. Such a value is not stored.
            if !Task.isCancelled {
                for (last, start) in zip(lastGoodValues, starts) { last.remember(value, asOf: start) }
            }
            return FallbackResult(value: value, answer: nil, error: nil)
        } catch {
            if CancellationCause.current == .caller || classify(error) == .rethrow { throw error }
            return try await answer(to: error)
        }
    }

    nonisolated(nonsending) private func answer(to error: any Error) async throws -> FallbackResult<Value> {
        for answer in answers {
            guard let value = await self.value(of: answer) else { continue }
            // The caller may have cancelled the task while the source ran.
            if CancellationCause.current == .caller { throw error }
            events.report(.answered(by: answer.name, error: error))
            return FallbackResult(value: value, answer: answer.name, error: error)
        }
        if CancellationCause.current != .caller { events.emit(.unanswered(error: error)) }
        throw error
    }

    nonisolated(nonsending) private func value(of answer: Answer) async -> Value? {
        switch answer.kind {
        case .value(let value): return value
        case .stale(let last): return last.value
        case .source(let body):
            if Task.isCancelled || Deadline.current?.isExpired == true { return nil }
            do {
                return try await body()
            } catch {
                if CancellationCause.current != .caller { events.emit(.failed(source: answer.name, error: error)) }
                return nil
            }
        }
    }
}
