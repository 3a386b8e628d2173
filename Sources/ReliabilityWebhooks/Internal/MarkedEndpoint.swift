internal import ReliabilityCore
internal import ReliabilityStore

/// The mark of an endpoint as read from the store.
struct MarkedEndpoint {
    private static let keyspace: Keyspace = "webhook-endpoints"

    let id: String
    let key: StoreKey
    let mark: EndpointMark?
    let version: StoreVersion?

    init(id: String, key: StoreKey, _ entry: StoreEntry?) {
        self.id = id
        self.key = key
        mark = entry.flatMap { EndpointMark($0.value) }
        version = entry?.version
    }

    static func key(_ id: String, in queue: QueueName) -> StoreKey { StoreKey(keyspace, queue.description, id) }

    var isQuarantined: Bool {
        if case .failing(_, let isQuarantined, _)? = mark { isQuarantined } else { false }
    }

    /// A Boolean value that indicates whether the long failure of the endpoint was reported.
    var isReported: Bool {
        if case .failing(_, _, let isReported)? = mark { isReported } else { false }
    }

    /// The write that ends the mark after a success, or `nil` if the endpoint is healthy or disabled.
    var end: StoreWrite? {
        guard case .failing? = mark, let version else { return nil }
        return .delete(key, if: .version(version))
    }

    /// Returns the mark after a failure.
    ///
    /// - Parameters:
    ///   - time: The time of the failure in Unix seconds.
    ///   - disableAfter: The time of only failures after which the endpoint is disabled, or `nil` for no limit.
    ///   - isQuarantined: A Boolean value that indicates whether the endpoint is in quarantine.
    /// - Returns: The mark.
    func afterFailure(at time: Int64, disableAfter: Duration?, isQuarantined: Bool) -> EndpointMark {
        guard case .failing(let since, let wasQuarantined, let wasReported)? = mark else {
            return .failing(since: time, isQuarantined: isQuarantined, isReported: false)
        }
        let age = Duration.seconds(time.saturatingSubtract(since))
        if let disableAfter, age >= disableAfter { return .disabled(at: time, .failed) }
        return .failing(
            since: since,
            isQuarantined: wasQuarantined || isQuarantined,
            isReported: wasReported || disableAfter.map { age >= $0 / 2 } ?? false
        )
    }
}
