/// The limits of concurrency under which the current task works.
///
/// A caller can leave its work behind, as with an abandoning timeout. The work then occupies its places until the work
/// ends.
package indirect enum AdmissionScope: Sendable {
    /// A single limit.
    case single(any AdmissionLimit)
    /// A limit inside of other limits.
    case nested(any AdmissionLimit, in: AdmissionScope)

    /// The limits of the current task, or `nil` if there is none.
    @TaskLocal package static var innermost: AdmissionScope?

    /// Returns the scope of work that a limit admits in the current task.
    package init(_ limit: any AdmissionLimit) {
        if let outer = AdmissionScope.innermost { self = .nested(limit, in: outer) } else { self = .single(limit) }
    }

    /// Occupies a further place of each limit, also beyond the limit.
    package func occupy() {
        switch self {
        case .single(let limit): limit.occupy()
        case .nested(let limit, let outer):
            limit.occupy()
            outer.occupy()
        }
    }

    /// Releases a place of each limit.
    package func vacate() {
        switch self {
        case .single(let limit): limit.vacate()
        case .nested(let limit, let outer):
            limit.vacate()
            outer.vacate()
        }
    }
}

/// A limit of the work that runs at the same time.
package protocol AdmissionLimit: AnyObject, Sendable {
    /// Occupies a further place, also beyond the limit.
    func occupy()

    /// Releases a place.
    func vacate()
}
