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
    /// Who wrote it: 16 random bytes.
    ///
    /// A caller that does not know whether its write happened finds out by them.
    let nonce: [UInt8]
    /// The digest of the request; nil when the call named no fingerprint.
    let digest: [UInt8]?
    var result: [UInt8] = []

    static func newNonce() -> [UInt8] {
        var generator = AmbientGenerator()
        return (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    // A format number, the state, whether there is a digest, the nonce, the digest, the result.
    private static let format: UInt8 = 1

    var bytes: [UInt8] { [Self.format, state.rawValue, digest == nil ? 0 : 1] + nonce + (digest ?? []) + result }

    init(state: State, nonce: [UInt8], digest: [UInt8]?) {
        self.state = state
        self.nonce = nonce
        self.digest = digest
    }

    /// Reads a record; nil when these are not the bytes of one, or of a format that is not known.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 19, bytes[0] == Self.format, let state = State(rawValue: bytes[1]), bytes[2] <= 1 else {
            return nil
        }
        let hasDigest = bytes[2] == 1
        let header = hasDigest ? 51 : 19
        guard bytes.count >= header else { return nil }
        self.state = state
        nonce = Array(bytes[3..<19])
        digest = hasDigest ? Array(bytes[19..<51]) : nil
        result = Array(bytes[header...])
    }

    /// Whether both say what their request was, and it was not the same.
    func contradicts(_ other: [UInt8]?) -> Bool {
        guard let digest, let other else { return false }
        return digest != other
    }
}
