public import ReliabilityCore

/// Renders errors for clients, and tells you about those of which the client was told nothing.
///
/// ```swift
/// let renderer = ErrorRenderer(onIncident: { incident in logger.error("\(incident)") })
/// let refusal = renderer.response(to: error)
/// ```
public struct ErrorRenderer: Sendable {
    private let map: (@Sendable (any Error) -> (any ReliabilityError)?)?
    private let incidents: EventSink<ErrorIncident>

    /// Creates a renderer.
    ///
    /// - Parameters:
    ///   - map: Says what an error from elsewhere means, such as a driver's "no such row"; nil means that it is unknown.
    ///     It is not asked about a ``ReliabilityError``.
    ///   - onIncident: Receives every error that became a 500, in order and without delaying the response. While it is
    ///     running, 65,536 incidents wait. Past that, incidents are dropped, but for the latest one:
    ///     ``ErrorIncident/missedBefore`` is the number of incidents that were dropped before an incident. At the end
    ///     of the program, `ObserverDelivery.flush()` delivers the incidents that wait.
    public init(
        map: (@Sendable (any Error) -> (any ReliabilityError)?)? = nil,
        onIncident: (@Sendable (ErrorIncident) -> Void)? = nil
    ) {
        self.map = map
        incidents = EventSink(onIncident, capacity: 65_536, missed: { [$1.behindMissed($0)] })
    }

    /// Renders an error.
    ///
    /// - Parameters:
    ///   - error: Any error.
    ///   - requestID: The identifier of the request; without one, a random one is made.
    /// - Returns: What the client gets to see.
    public func response(to error: any Error, requestID: CorrelationID? = .current) -> ErrorResponse {
        let requestID = requestID ?? .random()
        if let known = known(error), let response = ErrorResponse(rendering: known, requestID: requestID) {
            return response
        }
        let incident = randomHexadecimal(bytes: 16)
        incidents.emit(ErrorIncident(id: incident, requestID: requestID, error: error))
        return ErrorResponse(incident: incident, requestID: requestID)
    }

    private func known(_ error: any Error) -> (any ReliabilityError)? {
        if let error = error as? any ReliabilityError { return error }
        if let mapped = map?(error) { return mapped }
        return error is CancellationError ? Cancelled() : nil
    }

    private struct Cancelled: ReliabilityError {
        let code: ErrorCode = "cancelled"
        let category = ErrorCategory.cancelled
        let message = "The request was cancelled."
    }
}
