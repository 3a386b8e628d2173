import ReliabilityCore
import ReliabilityStore

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Works on a store that several processes share, and appends each effect to a file.
///
/// A process opens its store, reports that it is ready, and begins with the first line of its standard input. A process
/// that is no relay ends when its work is done. The end of the standard input ends every process, so that no process
/// outlives the test.
@main struct NetworkChild {
    static func main() async throws {
        guard let job = Job(arguments: Array(CommandLine.arguments.dropFirst())) else { exit(2) }
        let sink = Sink(directory: job.directory)
        let store = try await openStore(at: job.address, named: job.storeName) { event in
            sink.append("\(job.process) \(event)", to: .events)
        }
        var input = lines().makeAsyncIterator()
        sink.append(job.process, to: .ready)
        guard await input.next() != nil else { exit(3) }
        if job.roles == [.relay] || job.roles == [.holdingRelay] {
            let relay = RelayWork(job, sink, store)
            let running = Task { await relay.run() }
            while await input.next() != nil {}
            await relay.drain()
            await running.value
            return
        }
        let work = Task {
            do { try await perform(job, sink, store) } catch {
                sink.append("\(job.process) ended: \(error)", to: .events)
                exit(1)
            }
            exit(0)
        }
        while await input.next() != nil {}
        work.cancel()
        exit(3)
    }

    private static func perform(_ job: Job, _ sink: Sink, _ store: any RecordStore) async throws {
        try await withThrowingTaskGroup { group in
            for role in job.roles {
                group.addTask {
                    switch role {
                    case .dedup: try await DedupWork(job, sink, store).run()
                    case .hang: try await DedupWork(job, sink, store).hang()
                    case .limit: try await LimitWork(job, sink, store).run()
                    case .produce: try await ProduceWork(job, sink, store).run()
                    case .relay, .holdingRelay: exit(2)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// The lines of the standard input.
    private static func lines() -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream<String>.makeStream()
        // A thread of the task executor must not wait for the input.
        let isStarted = tryToStartThread {
            while let line = readLine() { continuation.yield(line) }
            continuation.finish()
        }
        if !isStarted { exit(6) }
        return stream
    }
}

/// Waits between two calls of a process.
func pause(milliseconds: Int) async throws { try await Task.sleep(for: .milliseconds(milliseconds)) }
