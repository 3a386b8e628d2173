import RateLimiter
import ReliabilityStore

/// Calls as often as two limits allow, which all processes share.
struct LimitWork: Sendable {
    private let job: Job
    private let sink: Sink
    private let limiters: [(name: String, limiter: Limiter)]

    /// The limits, which allow no further call during a test.
    static let limits: [(name: String, configuration: Limiter.Configuration)] = [
        ("window", .fixedWindow(Job.limit, per: .seconds(3600))),
        ("gcra", .gcra(Job.limit, per: .seconds(3600 * Job.limit))),
    ]

    init(_ job: Job, _ sink: Sink, _ store: any RecordStore) {
        (self.job, self.sink) = (job, sink)
        limiters = Self.limits.map { name, configuration in
            let failure = StoreFailureMode.failClosed(timeout: .seconds(1))
            let keyspace = Keyspace(name)
            return (name, Limiter(configuration, keyspace: keyspace, store: store, storeFailure: failure))
        }
    }

    /// Calls until each limit has rejected three calls.
    func run() async throws {
        let key = job.mistake == .limitOfProcess ? job.process : "all"
        var rejections = limiters.map { _ in 0 }
        while rejections.contains(where: { $0 < 3 }) {
            for (index, (name, limiter)) in limiters.enumerated() where rejections[index] < 3 {
                do {
                    if try await limiter.tryConsume([key]).isAllowed {
                        sink.append(name, to: .allowed)
                    } else {
                        rejections[index] += 1
                    }
                } catch let error as LimiterError {
                    guard case .storeUnavailable(let cause) = error.reason, cause.isTemporary else { throw error }
                    if cause.reason == .unknownOutcome { sink.append(name, to: .unsure) }
                }
            }
            try await pause(milliseconds: 8)
        }
    }
}
