internal import Synchronization

/// A handle that forces a breaker to be open or closed.
///
/// ``Breaker/forceOpen()`` and ``Breaker/forceClosed()`` return a handle. The breaker is forced until the last of its
/// handles is released. A handle that is no longer referenced is released.
public final class BreakerOverride: Sendable {
    private let breaker: Breaker
    private let opens: Bool
    private let isReleased = Atomic(false)

    init(_ breaker: Breaker, opens: Bool) {
        self.breaker = breaker
        self.opens = opens
        breaker.override(opens: opens, by: 1)
    }

    deinit { release() }

    /// Releases the handle.
    ///
    /// Further calls have no effect.
    public func release() {
        if isReleased.exchange(true, ordering: .relaxed) { return }
        breaker.override(opens: opens, by: -1)
    }
}

extension Breaker {
    /// Forces the breaker to reject every call until the handle is released.
    ///
    /// ```swift
    /// let breaker = Breaker(.standard)
    /// let maintenance = breaker.forceOpen()
    /// maintenance.release()                       // after the maintenance
    /// ```
    ///
    /// The handle has priority over handles of ``forceClosed()``, over a dry run and over every outcome and every time.
    /// Two holders need two releases. Calls that were admitted before still count. After the last release, the breaker
    /// continues in the state that it would have without the handle. A rejected call throws ``BreakerOpenError``
    /// without `retryAfter`.
    ///
    /// - Returns: The handle.
    public func forceOpen() -> BreakerOverride { BreakerOverride(self, opens: true) }

    /// Forces the breaker to admit every call until the handle is released.
    ///
    /// The outcomes of calls that are admitted meanwhile do not count. Two holders need two releases. After the last
    /// release, the breaker continues in the state that it would have without the handle.
    ///
    /// - Returns: The handle.
    public func forceClosed() -> BreakerOverride { BreakerOverride(self, opens: false) }
}
