/// The stored state of a key: a claim in progress, or the record of a finished operation.
struct StoredClaim: Hashable, Sendable {
    enum State: UInt8 {
        case inProgress = 1
        /// The operation ran, and the record contains its result.
        case done = 2
        /// The operation ran, and its result was not kept.
        case doneWithoutResult = 3
    }

    var state: State
    /// The identity of the claim that wrote the record.
    let id: ClaimID
    /// The time in milliseconds for which the entry of a claim is retained after its lease has ended.
    let retentionMilliseconds: UInt64
    /// The digest of the fingerprint, or `nil` if the call has no fingerprint.
    let digest: [UInt8]?
    var result: [UInt8] = []

    /// The record without its result, or `nil` if the record is not in the state `done`.
    ///
    /// The size equals the size of the claim. A full store therefore has room for the record in the place of the claim.
    var withoutResult: StoredClaim? {
        guard state == .done else { return nil }
        var record = self
        record.state = .doneWithoutResult
        record.result = []
        return record
    }

    /// Returns the remaining time of a lease.
    ///
    /// - Parameter remaining: The time until the entry of the claim expires.
    /// - Returns: The remaining time, which is zero or negative after the end of the lease.
    func lease(remaining: Duration) -> Duration { remaining - .milliseconds(retentionMilliseconds) }

    // Format 2: the format number, the state, 1 if there is a digest and 0 otherwise, the identity of the claim, the
    // retention in milliseconds, the digest, the result.
    private static let format: UInt8 = 2
    private static let headerCount = 3 + ClaimID.byteCount + 8
    private static let digestCount = 32

    /// The number of bytes of the record.
    var byteCount: Int { Self.headerCount + (digest?.count ?? 0) + result.count }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        bytes.append(Self.format)
        bytes.append(state.rawValue)
        bytes.append(digest == nil ? 0 : 1)
        id.append(to: &bytes)
        bytes.append(bigEndian: retentionMilliseconds)
        if let digest { bytes += digest }
        bytes += result
        return bytes
    }

    init(state: State, id: ClaimID, retentionMilliseconds: UInt64, digest: [UInt8]?) {
        self.state = state
        self.id = id
        self.retentionMilliseconds = retentionMilliseconds
        self.digest = digest
    }

    /// Creates a record from its bytes, or returns `nil` if the bytes are not valid or their format is unknown.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerCount, bytes[0] == Self.format, let state = State(rawValue: bytes[1]),
            bytes[2] <= 1
        else { return nil }
        let hasDigest = bytes[2] == 1
        let header = Self.headerCount + (hasDigest ? Self.digestCount : 0)
        guard bytes.count >= header else { return nil }
        self.state = state
        id = ClaimID(bytes: bytes[3...].prefix(ClaimID.byteCount))
        retentionMilliseconds = UInt64(bigEndianBytes: bytes[(3 + ClaimID.byteCount)...])
        digest = hasDigest ? Array(bytes[Self.headerCount..<header]) : nil
        result = Array(bytes[header...])
    }

    /// Returns a Boolean value that indicates whether both digests exist and differ.
    func mismatches(_ other: [UInt8]?) -> Bool {
        guard let digest, let other else { return false }
        return digest != other
    }
}
