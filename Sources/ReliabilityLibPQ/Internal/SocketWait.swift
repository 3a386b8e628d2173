#if LibPQ
internal import ReliabilityCore

/// The limits of the waits of a thread for the socket of its connection.
struct SocketWait {
    let signal: ThreadSignal
    /// The end, in nanoseconds of the continuous clock.
    let end: Int64
    /// Returns `true` if the caller has left.
    ///
    /// A signal may belong to an earlier caller.
    var isAbandoned: () -> Bool = { false }

    /// Returns a wait that ends after a part of the remaining time.
    func part(of count: Int) -> SocketWait {
        let now = continuousNanoseconds()
        return SocketWait(
            signal: signal,
            end: now.saturatingAdd(end.saturatingSubtract(now) / Int64(count)),
            isAbandoned: isAbandoned
        )
    }

    /// Waits until the socket is ready.
    ///
    /// - Returns: The reason to give up, or `nil` if the socket is ready.
    func problem(socket: Int32, _ direction: ThreadSignal.Direction) -> String? {
        while true {
            switch signal.wait(socket: socket, direction, until: end) {
            case .ready: return nil
            case .elapsed: return "the server did not answer within the time limit"
            case .signalled: if isAbandoned() { return "the caller left" }
            }
        }
    }
}
#endif
