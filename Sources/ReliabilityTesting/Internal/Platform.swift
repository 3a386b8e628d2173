#if canImport(Darwin)
internal import Darwin
#elseif canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// The identity of a thread.
struct ThreadIdentity: Hashable, Sendable {
    private let handle: UInt

    static var current: ThreadIdentity {
        #if canImport(Darwin)
        unsafe ThreadIdentity(handle: UInt(bitPattern: pthread_self()))
        #else
        ThreadIdentity(handle: UInt(pthread_self()))
        #endif
    }
}

/// Writes a text to the standard error.
@Sendable
func writeToStandardError(_ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
}
