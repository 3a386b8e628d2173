internal import ReliabilityCore

#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

// All code of this module that depends on the operating system.

/// Returns all addresses of a host by the resolver of the system.
///
/// The resolver blocks a thread of its own. A cancelled call leaves the thread to its end.
///
/// - Parameter host: The name of the host.
/// - Returns: The addresses.
/// - Throws: ``WebhookDeliveryError``.
@Sendable
func resolveBySystem(_ host: String) async throws -> [WebhookAddress] {
    let addresses: [WebhookAddress]? = await withCheckedContinuation { continuation in
        let isStarted = tryToStartThread { continuation.resume(returning: addressesOfHost(host)) }
        if !isStarted { continuation.resume(returning: nil) }
    }
    guard let addresses else { throw WebhookDeliveryError(.resolutionFailed) }
    return addresses
}

/// Returns all addresses of a host, or `nil` if the resolver fails.
private func addressesOfHost(_ host: String) -> [WebhookAddress]? {
    var hints = unsafe addrinfo()
    #if canImport(Glibc)
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    #else
    unsafe hints.ai_socktype = SOCK_STREAM
    #endif
    var first: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(host, nil, &hints, &first) == 0 else { return nil }
    defer { unsafe freeaddrinfo(first) }
    var addresses: [WebhookAddress] = []
    var next = unsafe first
    while let info = unsafe next {
        let address = unsafe UnsafeRawBufferPointer(start: info.pointee.ai_addr, count: Int(info.pointee.ai_addrlen))
        let family = unsafe info.pointee.ai_family
        // The address follows the port in `sockaddr_in`, and the port and the flow in `sockaddr_in6`.
        let (start, count) = family == AF_INET ? (4, 4) : family == AF_INET6 ? (8, 16) : (0, 0)
        let bytes = unsafe Array(address.dropFirst(start).prefix(count))
        if let address = WebhookAddress(bytes) { addresses.append(address) }
        unsafe next = info.pointee.ai_next
    }
    return addresses
}
