internal import ReliabilityCore

/// How many extra attempts a budget allows.
///
/// ```swift
/// RetryBudgetConfiguration.tokens(capacity: 500)
/// RetryBudgetConfiguration.window(ratio: 0.1, perSecond: 5)
/// ```
///
/// Tokens bound how long a client goes on trying when everything fails: 35 retries with the defaults. A window bounds the
/// share of the load that extra attempts may be, however long the trouble lasts.
public struct RetryBudgetConfiguration: Hashable, Sendable {
    struct Tokens: Hashable {
        let capacity: Int
        let refill: Int
        let transient: Int
        let timeout: Int
        let throttled: Int
        let hedge: Int

        func cost(of expense: RetryBudget.Expense) -> Int {
            switch expense {
            case .transient: transient
            case .timeout: timeout
            case .throttled: throttled
            case .hedge: hedge
            }
        }
    }

    struct Window: Hashable {
        /// The share, in thousandths of an attempt for each call.
        let ratio: Int
        /// What is allowed without any call, in thousandths of an attempt.
        let floor: Int
        let length: Int64
    }

    enum Kind: Hashable {
        case tokens(Tokens)
        case window(Window)
    }

    let kind: Kind

    /// A bucket of tokens, full at first, from which each extra attempt takes and to which each call that succeeds at
    /// its first attempt adds.
    ///
    /// The numbers are whole, and only their proportions matter: for a tenth of a token for each success, multiply all
    /// of them by ten. The defaults are those of the AWS SDKs, and a hedge costs what the dearest retry does.
    ///
    /// - Parameters:
    ///   - capacity: The most tokens.
    ///   - refill: What a call that succeeds at its first attempt adds.
    ///   - transient: What another attempt costs after a failure that may pass.
    ///   - timeout: What another attempt costs after an answer that did not come in time.
    ///   - throttled: What another attempt costs after the dependency asked for less.
    ///   - hedge: What a hedge costs.
    /// - Returns: The configuration.
    /// - Precondition: `capacity` is from 1 to 1,000,000,000, and each other number is from 1 to `capacity`.
    public static func tokens(
        capacity: Int = 500,
        refill: Int = 1,
        transient: Int = 14,
        timeout: Int = 10,
        throttled: Int = 5,
        hedge: Int = 14
    ) -> RetryBudgetConfiguration {
        requireValid(
            (1...1_000_000_000).contains(capacity),
            "a budget's capacity must be from 1 to 1,000,000,000 (is \(capacity))"
        )
        func check(_ name: String, _ value: Int) {
            requireValid(
                (1...capacity).contains(value),
                "a budget's \(name) must be from 1 to its capacity of \(capacity) (is \(value))"
            )
        }
        check("refill", refill)
        check("cost of a retry after a transient failure", transient)
        check("cost of a retry after a timeout", timeout)
        check("cost of a retry after throttling", throttled)
        check("cost of a hedge", hedge)
        let tokens = Tokens(
            capacity: capacity,
            refill: refill,
            transient: transient,
            timeout: timeout,
            throttled: throttled,
            hedge: hedge
        )
        return RetryBudgetConfiguration(kind: .tokens(tokens))
    }

    /// A share of the calls of a sliding window, and a number that is allowed even when there are few calls.
    ///
    /// The window slides in twentieths of its length, and nothing older than it counts. Whenever an extra attempt is
    /// decided on, the nineteen of them up to that moment hold at most `perSecond · window + ratio · calls` extra
    /// attempts. The defaults are those of Finagle.
    ///
    /// With `ratio` and `perSecond` both zero, there is no extra attempt at all.
    ///
    /// - Parameters:
    ///   - ratio: The share of extra attempts; 0.2 is one for every five calls. It is kept to a thousandth.
    ///   - perSecond: How many are allowed besides, for each second of the window.
    ///   - window: How far back calls and extra attempts count.
    /// - Returns: The configuration.
    /// - Precondition: `ratio` is from 0 to 100, `perSecond` from 0 to 1,000,000, and `window` from 1 second to 1 day.
    public static func window(
        ratio: Double = 0.2,
        perSecond: Int = 10,
        over window: Duration = .seconds(10)
    ) -> RetryBudgetConfiguration {
        requireValid(ratio >= 0 && ratio <= 100, "a budget's ratio must be from 0 to 100 (is \(ratio))")
        requireValid(
            (0...1_000_000).contains(perSecond),
            "a budget's perSecond must be from 0 to 1,000,000 (is \(perSecond))"
        )
        requireValid(
            window >= .seconds(1) && window <= .seconds(86_400),
            "a budget's window must be from 1 second to 1 day (is \(window))"
        )
        let length = window.saturatingNanoseconds
        return RetryBudgetConfiguration(
            kind: .window(
                Window(
                    // Rounded, not cut off: 0.3 · 1000 is a little less than 300.
                    ratio: Int((ratio * 1000).rounded()),
                    // Thousandths for each second are ones for each millisecond.
                    floor: perSecond * Int(length / 1_000_000),
                    length: length
                )
            )
        )
    }
}
