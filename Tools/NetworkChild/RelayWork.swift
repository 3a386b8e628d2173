import Outbox
import ReliabilityStore
import Retry

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Delivers the messages of all producers.
struct RelayWork: Sendable {
    static let queue: OutboxQueue.Configuration = "messages"

    private let relay: OutboxRelay

    init(_ job: Job, _ sink: Sink, _ store: any RecordStore) {
        let queue = OutboxQueue(Self.queue, store: store, storeFailure: .failClosed(timeout: .seconds(1)))
        relay = OutboxRelay(
            .init(
                backoff: .exponential(initial: .milliseconds(100), max: .seconds(1), jitter: .equal),
                concurrency: Job.concurrency,
                lease: .milliseconds(job.lease),
                pollInterval: .milliseconds(100)
            ),
            queue: queue,
            observer: { event in
                if case .delivered(let id, _) = event {
                    sink.append("settled \(id) \(job.process)", to: .deliveries)
                } else {
                    sink.append("\(job.process) \(event)", to: .events)
                }
            },
            handler: { delivery in
                let line = "delivered \(delivery.message.id) \(job.process)"
                if job.mistake == .effectAfterReturn {
                    Task {
                        try await pause(milliseconds: 1000)
                        sink.append(line, to: .deliveries)
                    }
                    return
                }
                sink.append(line, to: .deliveries)
                if job.roles == [.holdingRelay] {
                    await waitForFile("\(job.directory)/release-\(job.process)")
                } else {
                    try await pause(milliseconds: 30)
                }
            }
        )
    }

    func run() async { await relay.run() }

    func drain() async { await relay.drain(within: .seconds(10)) }
}

/// Waits for a file, also after the cancellation of the task.
private func waitForFile(_ path: String) async {
    while unsafe access(path, F_OK) != 0 { await Task { try? await pause(milliseconds: 10) }.value }
}
