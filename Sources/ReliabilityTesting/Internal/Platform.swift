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
