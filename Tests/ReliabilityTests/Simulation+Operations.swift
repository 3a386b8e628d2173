import ReliabilityCore
import ReliabilityTesting

extension Simulation {
    /// Sleeps for an hour, as a dependency that hangs.
    func hang() async throws { try await clock.sleep(for: .seconds(3600)) }

    /// Sleeps for a duration, also in a cancelled task.
    func sleepIgnoringCancellation(for duration: Duration) async {
        let clock = clock
        await withoutCallContext {
            await Task(executorPreference: TimeSource(clock).taskExecutor) { try? await clock.sleep(for: duration) }
                .value
        }
    }
}
