import Outbox
import ReliabilityStore

/// Commits messages, each with an order.
struct ProduceWork: Sendable {
    private let job: Job
    private let sink: Sink
    private let outbox: OutboxQueue

    init(_ job: Job, _ sink: Sink, _ store: any RecordStore) {
        (self.job, self.sink) = (job, sink)
        outbox = OutboxQueue(RelayWork.queue, store: store, storeFailure: .failClosed(timeout: .seconds(1)))
    }

    /// Commits each message until the commit is acknowledged.
    func run() async throws {
        for number in 0..<Job.messages {
            let id = "\(job.process)-\(number)"
            sink.append(id, to: .sent)
            try await commit(id)
            sink.append(id, to: .acknowledged)
            try await pause(milliseconds: 12)
        }
    }

    private func commit(_ id: String) async throws {
        // The order makes a second commit after an unknown outcome a conflict.
        let order = StoreWrite.put(StoreKey("orders", id), [], .never, if: .absent)
        // A payload of this size soon needs more space on a full disk.
        let payload = [UInt8](repeating: 1, count: 1500)
        while true {
            do {
                try await outbox.commit([order], sending: [OutboxMessage(id: id, topic: "order", payload: payload)])
                return
            } catch let conflict as OutboxConflict {
                guard case .write(index: 0, current: .some) = conflict.reason else { throw conflict }
                return
            } catch let error as StoreError where error.isTemporary {
                sink.append("\(job.process) commit: \(error)", to: .events)
                try await pause(milliseconds: 25)
            }
        }
    }
}
