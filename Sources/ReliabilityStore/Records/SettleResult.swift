/// The result of a settlement.
public enum SettleResult: Hashable, Sendable {
    /// The settlement was made.
    case settled
    /// The token is not the record's version, the record is gone or its state does not allow the action.
    ///
    /// Nothing changed.
    case stale
}
