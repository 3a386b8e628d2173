public import ReliabilityCore

/// An error of which the client was told only an identifier.
public struct ErrorIncident: Sendable {
    /// The identifier that the client got as `incident_id`.
    public let id: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The error as it was thrown, for the log.
    public let error: any Error
}
