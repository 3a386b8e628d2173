import Dedup
import ReliabilityStore

/// Makes the same requests as all other processes.
struct DedupWork: Sendable {
    /// The value for a request whose result was not kept.
    static let missingResult = "-"

    private let job: Job
    private let sink: Sink
    private let dedup: Deduplicator

    init(_ job: Job, _ sink: Sink, _ store: any RecordStore) {
        (self.job, self.sink) = (job, sink)
        dedup = Deduplicator(
            .init(.replay(retention: .seconds(3600)), lease: .milliseconds(job.lease)),
            keyspace: "charges",
            store: store,
            storeFailure: .failClosed(timeout: .seconds(1))
        )
    }

    /// Makes equal requests for one key after the other, until each request has an answer.
    func run() async throws {
        for number in 0..<Job.keys {
            try await withThrowingTaskGroup { group in
                for _ in 0..<Job.requests { group.addTask { try await request("key\(number)") } }
                try await group.waitForAll()
            }
        }
    }

    /// Runs the operation of the first key, which does not return.
    func hang() async throws {
        _ = try await dedup.run("charge", ["ada", "key0"]) { claim in
            charge("key0", claim)
            try await Task.sleep(for: .seconds(3600))
            return ""
        }
    }

    private func request(_ key: String) async throws {
        let owner = job.mistake == .requestOfProcess ? job.process : "ada"
        while true {
            do {
                let result = try await dedup.run("charge", [owner, key]) { claim in
                    charge(key, claim)
                    try await pause(milliseconds: 20)
                    return "\(job.process)-\(UInt32.random(in: 0...(.max)))"
                }
                return sink.append("\(key) \(result.value)", to: .answers)
            } catch let error as DedupError {
                switch error.reason {
                case .inProgress, .storeUnavailable: try await pause(milliseconds: 25)
                case .resultNotKept: return sink.append("\(key) \(Self.missingResult)", to: .answers)
                default: throw error
                }
            }
        }
    }

    private func charge(_ key: String, _ claim: DedupClaim) {
        sink.append("\(key) \(job.process) \(claim.isTakeover ? "takeover" : "first")", to: .charges)
    }
}
