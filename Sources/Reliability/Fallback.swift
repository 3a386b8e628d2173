internal import ReliabilityCore

/// Answers in place of a call that failed: with the last good value, from another source, or with a fixed value.
///
/// ```swift
/// let fallback = Fallback(.stale(lastRates), .source("central bank") { try await centralBank.rates() }, .value([]))
/// let rates = try await fallback.run {
///     try await pipeline.run { try await bank.rates() }
/// }
/// if rates.isFallback { response.headers[.warning] = "110 - stale" }
/// ```
///
/// The answers are tried in order, and the first that has a value gives it. When none has, the call's own error is thrown.
///
/// - A fallback never hides that the caller left: when the caller cancels the task, the call's own error is thrown. A
///   deadline is no caller who left: a value and a stale value answer even when a limit around the fallback has cancelled
///   the task.
/// - An error that finds fault with the request is thrown as it is; `shouldAnswer` decides otherwise. The meaning that a
///   `map` inside the call gives to an error does not reach the fallback: where the error itself does not conform to
///   `ReliabilityError`, give `shouldAnswer` the same rule.
/// - A fallback is the outermost part of a call. The time limits inside it are over when it answers, so a source has
///   limits of its own or none. Once a deadline from further outside has passed, no source is asked: only a value and a
///   stale value are left to answer.
public struct Fallback<Value: Sendable>: Sendable {
    /// One thing that can take the place of a call's value.
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
        /// - Returns: The answer, with the name “value”.
        public static func value(_ value: Value) -> Answer { Answer(name: "value", kind: .value(value)) }

        /// The last value that the call returned, unless it is too old.
        ///
        /// - Parameter last: Where the value is kept; each success of the call is remembered there.
        /// - Returns: The answer, with the name “stale”.
        public static func stale(_ last: LastGoodValue<Value>) -> Answer { Answer(name: "stale", kind: .stale(last)) }

        /// Another way to get a value.
        ///
        /// - Parameters:
        ///   - name: What the answer is called in events and results.
        ///   - body: Gets the value; when it throws, the next answer is tried.
        /// - Returns: The answer.
        public static func source(
            _ name: String = "source",
            _ body: @escaping @Sendable () async throws -> Value
        ) -> Answer {
            Answer(name: name, kind: .source(body))
        }
    }

    private let answers: [Answer]
    /// Where the call's own values are remembered.
    private let remembered: [LastGoodValue<Value>]
    private let shouldAnswer: @Sendable (any Error) -> Bool
    private let events: EventSink<FallbackEvent>

    /// Creates a fallback.
    ///
    /// - Parameters:
    ///   - answers: What takes the place of a call's value, the best first.
    ///   - shouldAnswer: Which errors are answered. It is not asked when the caller has cancelled the task.
    ///   - observer: Is told of answers.
    public init(
        _ answers: Answer...,
        when shouldAnswer: @escaping @Sendable (any Error) -> Bool = Fallback.standardDecision(for:),
        observer: (@Sendable (FallbackEvent) -> Void)? = nil
    ) {
        self.init(answers: answers, shouldAnswer: shouldAnswer, observer: observer)
    }

    init(
        answers: [Answer],
        shouldAnswer: @escaping @Sendable (any Error) -> Bool = Fallback.standardDecision(for:),
        observer: (@Sendable (FallbackEvent) -> Void)? = nil
    ) {
        self.answers = answers
        remembered = answers.compactMap { answer in
            if case .stale(let last) = answer.kind { last } else { nil }
        }
        self.shouldAnswer = shouldAnswer
        events = EventSink(observer)
    }

    /// Whether an error is answered when no other rule is given.
    ///
    /// Every error is, but for those whose category finds fault with the request: the request is wrong whoever answers it.
    /// These are `invalid`, `unauthenticated`, `forbidden`, `notFound`, `conflict`, `preconditionFailed`, `tooLarge` and
    /// `unprocessable`.
    ///
    /// - Parameter error: What the call threw.
    /// - Returns: Whether another answer takes the call's place.
    public static func standardDecision(for error: any Error) -> Bool {
        (error as? any ReliabilityError)?.category.isFaultOfRequest != true
    }

    /// Runs `operation`, and answers in its place when it fails.
    ///
    /// - Parameter operation: The work, with all its policies; it keeps the caller's isolation.
    /// - Returns: What `operation` returns, or an answer.
    /// - Throws: What `operation` throws, when the task is cancelled, the error is not to be answered, or no answer has a
    ///   value.
    nonisolated(nonsending) public func run(
        _ operation: nonisolated(nonsending) () async throws -> Value
    ) async throws -> FallbackResult<Value> {
        let starts = remembered.map(\.timeSource.now)
        do {
            let value = try await operation()
            // Work that is cancelled often returns early instead of throwing: that is no value to remember.
            if !Task.isCancelled {
                for (last, start) in zip(remembered, starts) { last.remember(value, asOf: start) }
            }
            return FallbackResult(value: value, answer: nil, error: nil)
        } catch {
            if CancellationCause.current == .caller || !shouldAnswer(error) { throw error }
            return try await answer(to: error)
        }
    }

    nonisolated(nonsending) private func answer(to error: any Error) async throws -> FallbackResult<Value> {
        for answer in answers {
            guard let value = await self.value(of: answer) else { continue }
            // The caller may have gone away while a source was asked; what it said is then no longer of use.
            if CancellationCause.current == .caller { throw error }
            events.emit(.answered(by: answer.name, error: error))
            CallTrace.current?.note(.fellBack(to: answer.name, error: error))
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
