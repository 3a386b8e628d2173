public import ReliabilityCore

/// Renders errors for clients, and reports the failures of the service.
///
/// ```swift
/// let gone = ErrorCategory(rawValue: "gone")            // a category of the application's own
/// let renderer = ErrorRenderer(
///     .statuses([gone: 410]),
///     headerFields: { $0.category == .unauthenticated ? [("www-authenticate", #"Bearer realm="shop""#)] : [] },
///     observer: { incident in log("\(incident)") }
/// )
/// let response = renderer.response(to: error)
/// send(status: response.status, headers: response.headerFields, body: response.jsonBody())
/// ```
public struct ErrorRenderer: Sendable {
    /// The statuses of the application's own categories.
    public let configuration: Configuration
    private let headerFields: (@Sendable (any ReliabilityError) -> [(name: String, value: String)])?
    private let classify: (@Sendable (any Error) -> (any ReliabilityError)?)?
    private let incidents: EventSink<ErrorIncident>

    /// Creates a renderer.
    ///
    /// - Parameters:
    ///   - configuration: The statuses of the application's own categories. Defaults to ``Configuration/standard``.
    ///   - headerFields: Additional header fields for an error, such as `www-authenticate` for a 401 or `allow` for a
    ///     405. The closure receives the rendered error. The closure is not called for the constant response to an
    ///     internal or unknown error. Fields that HTTP does not allow are left out. So are `content-type`,
    ///     `content-length` and `retry-after`. Defaults to no additional fields.
    ///   - classify: The meaning of an error for the client, or `nil` to leave the error unchanged. The closure
    ///     receives every error first. Examples are a driver's "no such row" and a 401 that a provider sent to this
    ///     service. Defaults to no changes.
    ///   - observer: Receives every error that was rendered with a status of 500 or above, in order and without delay
    ///     of the response. Up to 65,536 incidents wait while the observer runs. Further incidents are dropped except
    ///     the latest. ``ErrorIncident/missedBefore`` is the number of dropped incidents. `ObserverDelivery.flush()`
    ///     delivers the waiting incidents at the end of the program. Defaults to no observer.
    /// - Precondition: The configuration is valid (``Configuration/validate()``).
    public init(
        _ configuration: Configuration = .standard,
        headerFields: (@Sendable (any ReliabilityError) -> [(name: String, value: String)])? = nil,
        classify: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        observer: (@Sendable (ErrorIncident) -> Void)? = nil
    ) {
        requireValid(configuration.validate)
        self.configuration = configuration
        self.headerFields = headerFields
        self.classify = classify
        incidents = EventSink(observer, capacity: 65_536, missed: { [$1.withMissedBefore($0)] })
    }

    /// Renders an error.
    ///
    /// A `CancellationError` is rendered as a 499 without an incident only if the caller of the current task cancelled
    /// the task. In any other task, something else was cancelled, such as an inner task. The error is then an unknown
    /// error: a 500 with an incident. Therefore call this method in the task of the request. For a call in another
    /// task, map the error with `classify`.
    ///
    /// - Parameters:
    ///   - error: Any error.
    ///   - requestID: The identifier of the request, or `nil` for a random identifier. Defaults to the identifier of
    ///     the current task.
    /// - Returns: The response for the client.
    public func response(to error: any Error, requestID: CorrelationID? = .current) -> ErrorResponse {
        let response = rendered(error, requestID: requestID ?? .random())
        if let incident = response.incidentID {
            incidents.emit(ErrorIncident(error, id: incident, response: response))
        }
        return response
    }

    private func rendered(_ error: any Error, requestID: CorrelationID) -> ErrorResponse {
        guard let known = knownError(for: error), let rule = StatusRule(known.category, configuration.statuses) else {
            return ErrorResponse(internalFor: requestID)
        }
        return ErrorResponse(known, rule, headerFields?(known) ?? [], requestID: requestID)
    }

    private func knownError(for error: any Error) -> (any ReliabilityError)? {
        if let classified = classify?(error) { return classified }
        if let error = error.reliability { return error }
        // The type alone does not show whether the request was cancelled.
        return error is CancellationError && CancellationCause.current == .caller ? Cancelled() : nil
    }

    private struct Cancelled: ReliabilityError {
        let code: ErrorCode = "cancelled"
        let category = ErrorCategory.cancelled
        let message = "The request was cancelled."
    }
}
