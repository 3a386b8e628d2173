/// The limits of concurrency under which the current task works.
///
/// A caller can leave its work behind, as with an abandoning timeout. The work then occupies its places until the work
/// ends.
@usableFromInline
package final class AdmissionScope: Sendable {
    /// The innermost scope of the current task, or `nil` if there is none.
    // Not a property with the macro, whose declarations cannot be used from inlinable functions.
    @usableFromInline package static let innermost = TaskLocal<AdmissionScope?>(wrappedValue: nil)

    private let limit: any AdmissionLimit
    private let outer: AdmissionScope?

    /// Creates a scope.
    ///
    /// - Parameters:
    ///   - limit: The limit.
    ///   - outer: The enclosing scope, or `nil` if there is none. Defaults to `nil`.
    package init(_ limit: any AdmissionLimit, in outer: AdmissionScope? = nil) {
        self.limit = limit
        self.outer = outer
    }

    /// Occupies a further place of each limit, also beyond the limit.
    package func occupy() {
        limit.occupy()
        outer?.occupy()
    }

    /// Releases a place of each limit.
    package func vacate() {
        limit.vacate()
        outer?.vacate()
    }
}

/// A limit of the work that runs at the same time.
package protocol AdmissionLimit: AnyObject, Sendable {
    /// Occupies a further place, also beyond the limit.
    func occupy()

    /// Releases a place.
    func vacate()
}
