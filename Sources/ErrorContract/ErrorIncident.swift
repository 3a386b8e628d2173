public import ReliabilityCore

/// An error that was rendered as a response with a status of 500 or above.
///
/// The description is a line for the log with every known fact.
public struct ErrorIncident: Sendable, CustomStringConvertible {
    /// The identifier in the response's `incident_id`.
    public let id: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The status of the response.
    ///
    /// With a status other than 500, the response contains the error's code and message. With the status 500, the
    /// response contains neither, unless the configuration sets that status for the category.
    public let status: Int
    /// The thrown error, for the log.
    public let error: any Error
    /// The number of incidents that were dropped before this incident because the observer was too slow.
    public private(set) var missedBefore = 0

    init(_ error: any Error, id: String, response: ErrorResponse) {
        self.id = id
        requestID = response.requestID
        status = response.status
        self.error = error
    }

    /// The incident, the request, the status and the error.
    ///
    /// The description of the error may contain line breaks and text from outside.
    public var description: String {
        let line = "incident \(id) of request \(requestID), status \(status): \(error)"
        return missedBefore == 0 ? line : "\(line) (\(missedBefore) incident(s) before this one were dropped)"
    }

    /// Returns the incident with the number of dropped incidents before it.
    func withMissedBefore(_ count: Int) -> ErrorIncident {
        var incident = self
        incident.missedBefore = count
        return incident
    }
}
