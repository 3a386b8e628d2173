internal import ReliabilityCore

/// The last attempts of each endpoint.
struct AttemptLogs {
    private(set) var attempts: [String: [WebhookAttempt]] = [:]
    /// The number of attempts since the last removal of all old attempts.
    private var additions = 0
    private let capacity: Int
    private let maxAge: Duration

    /// Creates empty logs.
    ///
    /// - Parameters:
    ///   - capacity: The largest number of attempts for each endpoint.
    ///   - maxAge: The age after which an attempt is removed.
    init(capacity: Int, maxAge: Duration) {
        self.capacity = capacity
        self.maxAge = maxAge
    }

    /// Adds an attempt.
    ///
    /// - Returns: `true` if the old attempts of all endpoints were removed, which happens now and then.
    mutating func append(_ attempt: WebhookAttempt, of id: String) -> Bool {
        attempts[id, default: []].append(attempt)
        removeOld(of: id, at: attempt.unixSeconds)
        additions += 1
        if additions < max(1024, attempts.count) { return false }
        additions = 0
        for id in attempts.keys { removeOld(of: id, at: attempt.unixSeconds) }
        return true
    }

    /// Removes the attempts of an endpoint that are beyond the limits.
    mutating func removeOld(of id: String, at unixSeconds: Int64) {
        guard let all = attempts[id] else { return }
        let isOld = { (attempt: WebhookAttempt) in
            .seconds(unixSeconds.saturatingSubtract(attempt.unixSeconds)) > maxAge
        }
        let count = max(all.count - capacity, all.prefix(while: isOld).count)
        if count == all.count {
            attempts[id] = nil
        } else if count > 0 {
            attempts[id]?.removeFirst(count)
        }
    }
}
