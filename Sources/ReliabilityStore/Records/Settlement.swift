/// The outcome of a delivery or of a decision about a dead letter.
public struct Settlement: Hashable, Sendable {
    /// The change of the record.
    ///
    /// A pending record accepts every action except ``redrive``. A dead letter accepts only ``done`` and ``redrive``.
    /// Any other combination is ``SettleResult/stale``. A wait of zero or less makes the record due immediately.
    public enum Action: Hashable, Sendable {
        /// Removes the record. The record may be a dead letter.
        case done
        /// Delivers the record again after a wait.
        ///
        /// With `countsAttempt: false`, the delivery does not count as an attempt. The record gets a new version, so
        /// the token is used up.
        case retry(after: Duration, countsAttempt: Bool)
        /// Returns the record undelivered and delivers the record again after a wait.
        ///
        /// The delivery does not count as an attempt. The record gets a new version. In the next claim,
        /// ``RecordClaim/wasAbandoned`` is `true`. The record counts as leased until the wait has ended. In a store
        /// with one owner at a time, the next opening ends the wait.
        case holdBack(Duration)
        /// Sets the end of the lease to this time from now.
        ///
        /// The duration is positive, and a store rejects any other duration as ``StoreError/Reason/invalid``. The token
        /// stays valid.
        case extend(Duration)
        /// Makes the record a dead letter with a reason. A dead letter is not delivered.
        ///
        /// At most the first 1,024 bytes of the reason are stored, without a partial character. The record gets a new
        /// version.
        case deadLetter(reason: String)
        /// Makes a dead letter pending again, due immediately and without attempts.
        ///
        /// The token is the version of the dead letter. The record gets a new version.
        case redrive
    }

    /// The record's queue.
    public var queue: QueueName
    /// The record's identity in its queue.
    public var id: String
    /// The token of the claim, or ``RecordInfo/version`` of a dead letter.
    public var token: StoreVersion
    /// The change of the record.
    public var action: Action

    /// Creates a settlement of a claim.
    public init(_ claim: RecordClaim, _ action: Action) {
        self.init(queue: claim.queue, id: claim.id, token: claim.token, action)
    }

    /// Creates a settlement of a record with this identity and token.
    public init(queue: QueueName, id: String, token: StoreVersion, _ action: Action) {
        self.queue = queue
        self.id = id
        self.token = token
        self.action = action
    }
}
