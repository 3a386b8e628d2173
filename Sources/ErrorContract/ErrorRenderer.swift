public import ReliabilityCore

/// Renders errors for clients, and reports those that are no fault of the client.
///
/// ```swift
/// let renderer = ErrorRenderer(
///     statuses: [.gone: 410, .upstream: 502],
///     headerFields: { $0.category == .unauthenticated ? [("www-authenticate", #"Bearer realm="shop""#)] : [] },
///     map: { $0 is PSQLError ? StorageFailed() : nil },
///     onIncident: { logger.error("\($0)") }
/// )
/// let refusal = renderer.response(to: error)
/// ```
///
/// Here the application has two categories of its own:
///
/// ```swift
/// extension ErrorCategory {
///     static let gone = ErrorCategory(rawValue: "gone")
///     static let upstream = ErrorCategory(rawValue: "upstream")
/// }
/// ```
public struct ErrorRenderer: Sendable {
    private let statuses: [ErrorCategory: Int]
    private let headerFields: (@Sendable (any ReliabilityError) -> [(name: String, value: String)])?
    private let map: (@Sendable (any Error) -> (any ReliabilityError)?)?
    private let incidents: EventSink<ErrorIncident>

    /// Creates a renderer.
    ///
    /// - Parameters:
    ///   - statuses: The statuses of further categories, such as 405, 410, 415, 428 or 502, and those that are to differ
    ///     from the table at ``ErrorResponse/status``.
    ///   - headerFields: Further header fields for an error, such as `www-authenticate` for a 401 or `allow` for a 405. It
    ///     is asked about the error that is rendered, unless nothing of it may be seen. A field that HTTP does not allow,
    ///     or that ``ErrorResponse/headerFields`` sets itself, is left out.
    ///   - map: The meaning of an error for a client, or nil to leave it as it is. It is asked first and about every error:
    ///     those from elsewhere, such as a driver's "no such row", and those that speak for themselves but not to this
    ///     client, such as a 401 that a dependency gave to this service.
    ///   - onIncident: Receives every error that became a response with a status of 500 or above, in order and without
    ///     delaying the response. While it is running, 65,536 incidents wait. Past that, incidents are dropped, but for
    ///     the latest one: ``ErrorIncident/missedBefore`` is the number of incidents that were dropped before an
    ///     incident. At the end of the program, `ObserverDelivery.flush()` delivers the incidents that wait.
    /// - Precondition: Every status is 400 to 599, and there is none for `internal`, which is always 500.
    public init(
        statuses: [ErrorCategory: Int] = [:],
        headerFields: (@Sendable (any ReliabilityError) -> [(name: String, value: String)])? = nil,
        map: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        onIncident: (@Sendable (ErrorIncident) -> Void)? = nil
    ) {
        for (category, status) in statuses {
            requireValid((400...599).contains(status), "the status of \(category) is 400 to 599 (is \(status))")
        }
        let status = statuses[.internal]
        requireValid(status == nil, "the category internal is always 500 (is \(status ?? 500))")
        self.statuses = statuses
        self.headerFields = headerFields
        self.map = map
        incidents = EventSink(onIncident, capacity: 65_536, missed: { [$1.behindMissed($0)] })
    }

    /// Renders an error.
    ///
    /// A `CancellationError` is the client's leave, a 499, only if the current task was cancelled by its caller. In any
    /// other task, something else was cancelled, such as an inner task: the error says nothing for itself and is a 500
    /// with an incident. So render in the task of the request. A renderer that runs elsewhere, and gets the error handed
    /// over, tells the two apart by its `map`.
    ///
    /// - Parameters:
    ///   - error: Any error.
    ///   - requestID: The identifier of the request; without one, a random one is made.
    /// - Returns: What the client gets to see.
    public func response(to error: any Error, requestID: CorrelationID? = .current) -> ErrorResponse {
        let response = rendered(error, requestID: requestID ?? .random())
        if let incident = response.incidentID {
            incidents.emit(ErrorIncident(error, id: incident, response: response))
        }
        return response
    }

    private func rendered(_ error: any Error, requestID: CorrelationID) -> ErrorResponse {
        guard let known = known(error), let rule = StatusRule(known.category, statuses) else {
            return ErrorResponse(internalFor: requestID)
        }
        return ErrorResponse(known, rule, headerFields?(known) ?? [], requestID: requestID)
    }

    private func known(_ error: any Error) -> (any ReliabilityError)? {
        if let mapped = map?(error) { return mapped }
        if let error = error as? any ReliabilityError { return error }
        // The type says only that something was cancelled.
        return error is CancellationError && CancellationCause.current == .caller ? Cancelled() : nil
    }

    private struct Cancelled: ReliabilityError {
        let code: ErrorCode = "cancelled"
        let category = ErrorCategory.cancelled
        let message = "The request was cancelled."
    }
}
