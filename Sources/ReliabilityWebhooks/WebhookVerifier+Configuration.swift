public import ReliabilityCore

extension WebhookVerifier {
    /// A secret with its name.
    public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
        /// The name for events and logs, such as `current` or `previous`.
        public let name: String
        /// The text of the secret, or of the public key, as the provider shows the text.
        public let text: String

        /// Creates a secret.
        ///
        /// - Parameters:
        ///   - name: The name for events and logs.
        ///   - text: The text of the secret as the provider shows the secret.
        public init(_ name: String, _ text: String) {
            self.name = name
            self.text = text
        }

        /// The name without the text.
        public var description: String { "secret \(name)" }
        /// A mirror without the text.
        public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
    }

    /// The configuration of a ``WebhookVerifier``.
    public struct Configuration: Hashable, Sendable {
        /// The scheme of the provider.
        public var scheme: WebhookScheme
        /// The secrets, the newest first (1 to 10).
        public var secrets: [Secret]
        /// The largest difference between the time of a message and the time of this system (1 second to 1 day).
        ///
        /// Schemes without a time ignore the value.
        public var tolerance: Duration
        /// The maximum size of a body in bytes (1 byte to 64 MiB).
        public var maxBodyBytes: Int

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - scheme: The scheme of the provider.
        ///   - secrets: The secrets, the newest first.
        ///   - tolerance: The largest difference of times. Defaults to 5 minutes.
        ///   - maxBodyBytes: The maximum size of a body in bytes. Defaults to 1 MiB.
        public init(
            _ scheme: WebhookScheme,
            secrets: [Secret],
            tolerance: Duration = .seconds(300),
            maxBodyBytes: Int = 1 << 20
        ) {
            self.scheme = scheme
            self.secrets = secrets
            self.tolerance = tolerance
            self.maxBodyBytes = maxBodyBytes
        }

        /// Checks every field.
        ///
        /// The problems contain the names of the secrets and never their texts.
        ///
        /// - Throws: `ConfigurationError` with every problem.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("webhook verifier")
            problems.require((1...10).contains(secrets.count), "secrets must be from 1 to 10 (are \(secrets.count))")
            for secret in secrets {
                if let problem = scheme.problem(of: secret.text) { problems.require(false, "\(secret): \(problem)") }
            }
            for (index, secret) in secrets.enumerated() {
                let earlier = secrets[..<index]
                let isNew = !earlier.contains { Array($0.text.utf8) == Array(secret.text.utf8) }
                problems.require(isNew, "\(secret) is the same as an earlier secret")
                problems.require(
                    !earlier.contains { $0.name == secret.name },
                    "\(secret) has the name of an earlier secret"
                )
            }
            problems.require(
                tolerance >= .seconds(1) && tolerance <= .seconds(86_400),
                "tolerance must be from 1 second to 1 day (is \(tolerance))"
            )
            problems.require(
                (1...64 << 20).contains(maxBodyBytes),
                "maxBodyBytes must be from 1 to 67108864 (is \(maxBodyBytes))"
            )
            if let header = scheme.timestampHeader, !scheme.parts.contains(.header(header)) {
                problems.require(false, "the time in \(header) must be a part of the signed bytes")
            }
            if scheme.form != .stripe {
                problems.require(scheme.parts.contains(.body), "the body must be a part of the signed bytes")
            }
            try problems.throwIfAny()
        }
    }
}

extension WebhookScheme {
    /// Returns the problem with a secret, or `nil` if the secret is usable.
    func problem(of secret: String) -> String? {
        let bytes = Array(secret.utf8)
        if bytes.isEmpty { return "the text is empty" }
        let isSpace = { (byte: UInt8) in byte <= 0x20 || byte == 0x7f }
        if isSpace(bytes[0]) || isSpace(bytes[bytes.count - 1]) { return "the text begins or ends with white space" }
        if form == .standardAsymmetric {
            if !secret.hasPrefix("whpk_") { return "the text is no public key, which begins with whpk_" }
            return key(of: secret)?.count == 32 ? nil : "the text must be whpk_ and the base 64 of 32 bytes"
        }
        guard form == .standard else { return bytes.count < 8 ? "the text has fewer than 8 bytes" : nil }
        if secret.hasPrefix("whpk_") || secret.hasPrefix("whsk_") {
            return "the text is an asymmetric key, and a secret begins with whsec_"
        }
        guard let key = key(of: secret) else { return "the text must be whsec_ and base 64 with padding" }
        return (24...64).contains(key.count) ? nil : "the key must have 24 to 64 bytes (has \(key.count))"
    }

    /// Returns the bytes of the key of a secret, or `nil` if the secret does not have the form of the scheme.
    func key(of secret: String) -> [UInt8]? {
        let prefix: [UInt8]
        switch form {
        case .standard: prefix = Array("whsec_".utf8)
        case .standardAsymmetric: prefix = Array("whpk_".utf8)
        case .single, .stripe: return Array(secret.utf8)
        }
        let bytes = Array(secret.utf8)
        return bytes.starts(with: prefix) ? decodeBase64(bytes.dropFirst(prefix.count)) : nil
    }
}
