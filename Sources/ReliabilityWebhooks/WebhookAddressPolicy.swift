/// The rule for the URLs and the addresses to which webhooks may be sent.
///
/// The owner of an endpoint chooses its URL and its name server. Without a rule, the owner reaches the private network
/// of the sender (server-side request forgery).
///
/// ```swift
/// let policy = WebhookAddressPolicy()
/// let target = try policy.target(of: "https://hooks.example.com/orders")
/// let addresses = [[8, 8, 8, 8], [127, 0, 0, 1]].compactMap { WebhookAddress($0) }    // all addresses of the host
/// let address = try policy.address(among: addresses)                                  // throws, because one is special
/// ```
///
/// The rule is a value without input and output. A sender must check the addresses again at each attempt and connect to
/// the address that was checked.
public struct WebhookAddressPolicy: Hashable, Sendable {
    /// The reason of a rejection.
    @nonexhaustive
    public enum Rejection: Error, Hashable, Sendable, CustomStringConvertible {
        /// The text is not an absolute URL of printable ASCII with at most 2,048 bytes, or has a fragment.
        case malformed
        /// The scheme is not allowed.
        case scheme
        /// The URL contains a user name or a password.
        case userInformation
        /// The host is neither a name nor the canonical text of an address.
        case host
        /// The port is not allowed.
        case port(UInt16)
        /// The host has no address.
        case noAddress
        /// The host has an address of a kind that is not allowed.
        case address(WebhookAddress.Kind)

        /// The reason for logs, without the URL.
        public var description: String {
            switch self {
            case .malformed: "the URL is malformed"
            case .scheme: "the scheme is not allowed"
            case .userInformation: "the URL contains a user name or a password"
            case .host: "the host is neither a name nor a canonical address"
            case .port(let port): "the port \(port) is not allowed"
            case .noAddress: "the host has no address"
            case .address(let kind): "the host has an address of the kind \(kind)"
            }
        }
    }

    /// The allowed ports.
    public var ports: Set<UInt16>
    /// The allowed kinds of addresses.
    ///
    /// A test with a server on the same system needs ``WebhookAddress/Kind/loopback``.
    public var addressKinds: Set<WebhookAddress.Kind>
    /// A Boolean value that indicates whether `http` is allowed beside `https`.
    ///
    /// The value is for tests. Without TLS, everyone on the way reads and changes the messages.
    public var allowsPlainHTTP: Bool

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - ports: The allowed ports. Defaults to 443.
    ///   - addressKinds: The allowed kinds of addresses. Defaults to addresses on the internet.
    ///   - allowsPlainHTTP: A Boolean value that indicates whether `http` is allowed. Defaults to `false`.
    public init(
        ports: Set<UInt16> = [443],
        addressKinds: Set<WebhookAddress.Kind> = [.global],
        allowsPlainHTTP: Bool = false
    ) {
        self.ports = ports
        self.addressKinds = addressKinds
        self.allowsPlainHTTP = allowsPlainHTTP
    }

    /// Checks a URL and returns its host and port.
    ///
    /// A host that is an address is checked as well.
    ///
    /// - Parameter url: The text of the URL.
    /// - Returns: The target of the URL.
    /// - Throws: ``Rejection``.
    public func target(of url: String) throws(Rejection) -> WebhookTarget {
        let target = try WebhookTarget(url)
        if !target.isSecure && !allowsPlainHTTP { throw .scheme }
        if !ports.contains(target.port) { throw .port(target.port) }
        if let address = target.address { _ = try self.address(among: [address]) }
        return target
    }

    /// Checks all addresses of a host and returns the address for the connection.
    ///
    /// A single address of a kind that is not allowed rejects the host, because the host would be reached by chance
    /// otherwise.
    ///
    /// - Parameter addresses: All addresses of the host.
    /// - Returns: The first address.
    /// - Throws: ``Rejection``.
    public func address(among addresses: [WebhookAddress]) throws(Rejection) -> WebhookAddress {
        for address in addresses where !addressKinds.contains(address.kind) { throw .address(address.kind) }
        guard let first = addresses.first else { throw .noAddress }
        return first
    }
}
