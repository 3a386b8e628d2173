internal import Synchronization

/// The number of calls that wait for a server, with a limit.
///
/// A call beyond the limit is rejected immediately and is no failure of the server. The checks of the server are not
/// counted, so the callers of a store cannot displace a check.
package final class WaitingCalls: Sendable {
    /// The largest number of calls, which leaves room for checks on a connection for 10,000 commands.
    package static let limit = 9900

    private let count = Atomic<Int>(0)

    package init() {}

    /// Counts a call, which must end with ``end()`` even if the call is rejected.
    ///
    /// - Throws: `unavailable` if too many calls wait.
    package func begin() throws(StoreError) {
        if count.wrappingAdd(1, ordering: .relaxed).newValue > Self.limit {
            throw StoreError(.unavailable, "more than \(Self.limit) calls wait for the server")
        }
    }

    /// Ends a call.
    package func end() { count.wrappingSubtract(1, ordering: .relaxed) }
}
