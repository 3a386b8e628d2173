/// The role of a call in a breaker.
@usableFromInline
enum BreakerRole: UInt8, Hashable, Sendable {
    /// A call through a closed breaker.
    case call
    /// A call through a closed breaker that has a rule for slow calls.
    case timedCall
    /// A call that decides the state of a half-open breaker.
    case probe
    /// A call inside a probe, which shares the place of the probe.
    case partOfProbe
}

/// The identity of an admitted call.
@usableFromInline
struct BreakerTicket: Hashable, Sendable {
    /// The ticket of a call whose outcome does not count.
    static let uncounted = BreakerTicket(generation: 0, role: .call)

    /// The generation that admitted the call.
    ///
    /// Generations begin at 1.
    @usableFromInline let generation: UInt64
    @usableFromInline let role: BreakerRole
    /// The start of a timed call, or the number of a probe.
    let mark: Int64

    init(generation: UInt64, role: BreakerRole, mark: Int64 = 0) {
        self.generation = generation
        self.role = role
        self.mark = mark
    }
}
