public import ReliabilityCore

/// An error that became a response with a status of 500 or above.
public struct ErrorIncident: Sendable {
    /// The identifier that the client got as `incident_id`.
    public let id: String
    /// The identifier of the request.
    public let requestID: CorrelationID
    /// The status of the response.
    ///
    /// With 500, the client was told nothing of the error; with any other, its code and its message.
    public let status: Int
    /// The error as it was thrown, for the log.
    public let error: any Error
}
