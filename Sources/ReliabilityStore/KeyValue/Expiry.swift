/// The end of an entry's life.
///
/// Every write states the expiry. There is no default.
public enum Expiry: Hashable, Sendable {
    /// The entry stays until a delete.
    case never
    /// The entry expires this long after the write, on the store's clock.
    ///
    /// A duration below one millisecond counts as one millisecond. A store may round the end up by less than a
    /// millisecond and never down. From the instant of its end, the entry is absent for every operation.
    case after(Duration)
    /// The entry keeps the expiry of the present entry or never expires if there is no present entry.
    case keep
}
