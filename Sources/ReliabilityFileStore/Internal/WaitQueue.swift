internal import ReliabilityStore

/// The requests that wait for room, in the order of their arrival.
struct WaitQueue {
    struct Request {
        /// Submits the request again.
        ///
        /// Returns `false` if the request must continue to wait.
        let resubmit: (_ now: Int64, _ deferred: inout [@Sendable () -> Void], _ diskFullError: StoreError?) -> Bool
        let reject: @Sendable (StoreError) -> Void
    }

    private var requests: [UInt64: Request] = [:]
    /// The tickets of the requests in the order of their arrival.
    ///
    /// Tickets of removed requests can remain.
    private var tickets: [UInt64] = []
    private var lastTicket: UInt64 = 0

    var isEmpty: Bool { requests.isEmpty }

    /// Returns a ticket for a request that may be appended later.
    mutating func newTicket() -> UInt64 {
        lastTicket += 1
        return lastTicket
    }

    mutating func append(_ request: Request, _ ticket: UInt64) {
        tickets.append(ticket)
        requests[ticket] = request
    }

    /// Removes a request, or returns `nil` if the request does not wait.
    mutating func remove(_ ticket: UInt64) -> Request? { requests.removeValue(forKey: ticket) }

    /// Removes requests in their order until `isServed` returns `false` for a request.
    mutating func serve(_ isServed: (Request) -> Bool) {
        var count = 0
        for ticket in tickets {
            if let request = requests[ticket], !isServed(request) { break }
            requests[ticket] = nil
            count += 1
        }
        tickets.removeFirst(count)
    }

    /// Removes all requests and returns the requests in their order.
    mutating func takeAll() -> [Request] {
        defer { (requests, tickets) = ([:], []) }
        return tickets.compactMap { requests[$0] }
    }
}
