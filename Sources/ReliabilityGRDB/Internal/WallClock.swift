#if GRDB
internal import ReliabilityCore

/// The clock of the machine, which all processes of a database share.
final class WallClock: Sendable {
    private let nanoseconds: @Sendable () -> Int64

    /// Creates a clock.
    ///
    /// - Parameter nanoseconds: Returns the time in nanoseconds since 1970.
    init(_ nanoseconds: @escaping @Sendable () -> Int64) { self.nanoseconds = nanoseconds }

    /// The time in nanoseconds since 1970.
    var now: Int64 { max(0, nanoseconds()) }
}

/// A flag for the cancellation of a call.
final class CancellationFlag: Sendable {
    private let state = Lock(false)

    var isSet: Bool { state.withLock { $0 } }

    func set() { state.withLock { $0 = true } }
}
#endif
