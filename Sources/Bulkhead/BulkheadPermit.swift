public import ReliabilityCore

/// A place in a bulkhead.
///
/// The place is released at the end of the permit's lifetime. A permit without a report gives no sample to an adaptive
/// limit.
public struct BulkheadPermit: ~Copyable, Sendable {
    private let places: BulkheadPlaces
    private let start: Int64
    private var outcome = Outcome.ignored

    init(_ places: BulkheadPlaces, start: Int64) {
        self.places = places
        self.start = start
    }

    deinit { places.end(outcome, start: start) }

    /// Releases the place and reports how the work ended.
    ///
    /// - Parameter outcome: The outcome. Defaults to a success.
    public consuming func release(_ outcome: Outcome = .success) { self.outcome = outcome }
}
