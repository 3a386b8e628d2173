public import ReliabilityCore

/// An error of which the client was told only an identifier.
///
/// Its description is a line for the log, with all that is known of it.
public struct ErrorIncident: Sendable, CustomStringConvertible {
    /// The identifier that the client got as `incident_id`.
    public let id: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The error as it was thrown, for the log.
    public let error: any Error
    /// The number of incidents that were dropped before this one because `onIncident` was too slow.
    public private(set) var missedBefore = 0

    init(id: String, requestID: CorrelationID, error: any Error) {
        self.id = id
        self.requestID = requestID
        self.error = error
    }

    /// The incident, its request and its error.
    ///
    /// The error's own description may contain line breaks and text from outside.
    public var description: String {
        let line = "incident \(id) of request \(requestID): \(error)"
        return missedBefore == 0 ? line : "\(line) (\(missedBefore) incident(s) before this one were dropped)"
    }

    /// The same incident behind a gap of `count` incidents.
    func behindMissed(_ count: Int) -> ErrorIncident {
        var incident = self
        incident.missedBefore = count
        return incident
    }
}
