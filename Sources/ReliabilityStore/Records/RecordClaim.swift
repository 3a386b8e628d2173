/// A record leased to a worker, with the token to settle the record.
public struct RecordClaim: Hashable, Sendable {
    /// The record's queue.
    public let queue: QueueName
    /// The record's identity in its queue.
    public let id: String
    /// The content.
    public let payload: [UInt8]
    /// The number of this delivery, from 1.
    ///
    /// The store counts a delivery when the record is claimed. The delivery to a worker that crashes therefore counts.
    public let attempt: Int
    /// The fencing token, which is the record's version.
    ///
    /// The token is valid until the record has another version. Without another claim or a settlement, the token stays
    /// valid after the lease has ended.
    public let token: StoreVersion
    /// A Boolean value that indicates whether an earlier delivery was never settled.
    ///
    /// The value is `true` if the lease or the store's owner ended before a settlement, or after
    /// ``Settlement/Action/holdBack(_:)``. The worker may have crashed, and this record may be the cause. The value
    /// stays `true` until a delivery is settled with ``Settlement/Action/retry(after:countsAttempt:)``, for either
    /// value of `countsAttempt`, or the record is redriven.
    public let wasAbandoned: Bool

    /// Creates a claim.
    public init(
        queue: QueueName,
        id: String,
        payload: [UInt8],
        attempt: Int,
        token: StoreVersion,
        wasAbandoned: Bool
    ) {
        self.queue = queue
        self.id = id
        self.payload = payload
        self.attempt = attempt
        self.token = token
        self.wasAbandoned = wasAbandoned
    }
}

extension RecordClaim {
    /// Returns the claim with another token.
    func with(token: StoreVersion) -> RecordClaim {
        RecordClaim(queue: queue, id: id, payload: payload, attempt: attempt, token: token, wasAbandoned: wasAbandoned)
    }
}
