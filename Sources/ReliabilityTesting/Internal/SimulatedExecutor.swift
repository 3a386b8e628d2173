internal import ReliabilityCore

/// A task executor that queues the jobs of a simulation.
///
/// The simulating thread runs the jobs one at a time.
final class SimulatedExecutor: TaskExecutor {
    private struct State {
        var ready: [(job: UnownedJob, task: Int)] = []
        var didEscape = false
        var isTracing = false
        /// The number of a task in this run, by the task number of the runtime.
        ///
        /// The runtime counts all tasks of the process, so the numbers of the runtime differ from run to run.
        var taskNumbers: [Substring: Int] = [:]
    }
    private let state = Lock(State())
    private let thread = ThreadIdentity.current

    init(isTracing: Bool) { state.withLock { $0.isTracing = isTracing } }

    /// A Boolean value that indicates whether a job came from another thread.
    ///
    /// The seed then no longer determines the order of the jobs.
    var didEscape: Bool { state.withLock { $0.didEscape } }

    func enqueue(_ job: consuming ExecutorJob) {
        let isForeign = ThreadIdentity.current != thread
        let job = UnownedJob(job)
        state.withLock { state in
            if isForeign { state.didEscape = true }
            var number = 0
            if state.isTracing {
                let name = job.description.drop { !$0.isNumber }
                number = state.taskNumbers[name] ?? state.taskNumbers.count
                state.taskNumbers[name] = number
            }
            state.ready.append((job, number))
        }
    }

    /// Runs one of the ready jobs.
    ///
    /// - Parameter choose: Returns the index of a job, from 0 to `count - 1`.
    /// - Returns: The number of the job's task and the number of ready jobs, or `nil` if no job was ready.
    func runOne(_ choose: (_ count: Int) -> Int) -> (task: Int, of: Int)? {
        let chosen = state.withLock { state -> (job: UnownedJob, task: Int, of: Int)? in
            let count = state.ready.count
            if count == 0 { return nil }
            let index = count == 1 ? 0 : choose(count)
            state.ready.swapAt(index, count - 1)
            let (job, task) = state.ready.removeLast()
            return (job, task, count)
        }
        guard let chosen else { return nil }
        unsafe chosen.job.runSynchronously(on: asUnownedTaskExecutor())
        return (chosen.task, chosen.of)
    }
}
