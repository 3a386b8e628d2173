internal import ReliabilityCore

/// What is stored under a key: a claim, or what became of one.
struct DedupRecord: Hashable, Sendable {
    enum State: UInt8 {
        case inProgress = 1
        /// Done, with the result that a duplicate gets.
        case done = 2
        /// Done, and the result was not kept.
        case doneWithoutResult = 3
    }

    var state: State
    /// The claim that wrote it.
    let id: ClaimID
    /// How many milliseconds longer than its lease the entry of a claim lives.
    let memory: UInt64
    /// The digest of the request; `nil` if the call named no fingerprint.
    let digest: [UInt8]?
    var result: [UInt8] = []

    /// The same without its result, as large as the claim; `nil` for a record that is that already.
    var mark: DedupRecord? {
        guard state == .done else { return nil }
        var mark = self
        mark.state = .doneWithoutResult
        mark.result = []
        return mark
    }

    /// Computes the rest of a claim's lease.
    ///
    /// - Parameter remaining: The rest of its entry's life.
    /// - Returns: The rest of the lease, zero or less if it is over.
    func lease(remaining: Duration) -> Duration { remaining - .milliseconds(memory) }

    // A format number, the state, whether there is a digest, the claim's identity, the memory in milliseconds, the
    // digest, the result.
    private static let format: UInt8 = 2
    private static let headerCount = 3 + ClaimID.byteCount + 8
    private static let digestCount = 32

    var bytes: [UInt8] {
        var bytes = [Self.format, state.rawValue, digest == nil ? 0 : 1]
        bytes.reserveCapacity(Self.headerCount + Self.digestCount + result.count)
        bytes += id.bytes
        bytes += memory.bigEndianBytes
        if let digest { bytes += digest }
        bytes += result
        return bytes
    }

    init(state: State, id: ClaimID, memory: UInt64, digest: [UInt8]?) {
        self.state = state
        self.id = id
        self.memory = memory
        self.digest = digest
    }

    /// Reads a record; `nil` if these are not the bytes of one, or of a format that is not known.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerCount, bytes[0] == Self.format, let state = State(rawValue: bytes[1]),
            bytes[2] <= 1
        else { return nil }
        let hasDigest = bytes[2] == 1
        let header = Self.headerCount + (hasDigest ? Self.digestCount : 0)
        guard bytes.count >= header else { return nil }
        self.state = state
        id = ClaimID(bytes: bytes[3...].prefix(ClaimID.byteCount))
        memory = UInt64(bigEndianBytes: bytes[(3 + ClaimID.byteCount)...])
        digest = hasDigest ? Array(bytes[Self.headerCount..<header]) : nil
        result = Array(bytes[header...])
    }

    /// Whether both say what their request was, and it was not the same.
    func contradicts(_ other: [UInt8]?) -> Bool {
        guard let digest, let other else { return false }
        return digest != other
    }
}
