/// The cause of an extra attempt, which decides the cost.
enum RetryCost: Hashable, Sendable {
    /// A transient failure.
    case transient
    /// An answer that did not arrive in time.
    case timeout
    /// A dependency that asked for fewer calls.
    case throttled
    /// A late answer, for which a hedge starts.
    case hedge
}
