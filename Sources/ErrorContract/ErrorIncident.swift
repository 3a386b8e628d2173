public import ReliabilityCore

/// An error that became a response with a status of 500 or above.
///
/// Its description is a line for the log, with all that is known of it.
public struct ErrorIncident: Sendable, CustomStringConvertible {
    /// The identifier that the client got as `incident_id`.
    public let id: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The status of the response.
    ///
    /// With 500, the client was told nothing of an error that does not speak for itself; with any other, it was told the
    /// error's code and message.
    public let status: Int
    /// The error as it was thrown, for the log.
    public let error: any Error
    /// The number of incidents that were dropped before this one because `onIncident` was too slow.
    public private(set) var missedBefore = 0

    init(_ error: any Error, id: String, response: ErrorResponse) {
        self.id = id
        requestID = response.requestID
        status = response.status
        self.error = error
    }

    /// The incident, its request, the response's status and the error.
    ///
    /// The error's own description may contain line breaks and text from outside.
    public var description: String {
        let line = "incident \(id) of request \(requestID), status \(status): \(error)"
        return missedBefore == 0 ? line : "\(line) (\(missedBefore) incident(s) before this one were dropped)"
    }

    /// The same incident behind a gap of `count` incidents.
    func behindMissed(_ count: Int) -> ErrorIncident {
        var incident = self
        incident.missedBefore = count
        return incident
    }
}
