internal import ReliabilityCore

/// The gates and the logs of the endpoints that a sender has called lately.
final class EndpointStates: Sendable {
    private struct State {
        var gates: [String: EndpointGate] = [:]
        var logs: AttemptLogs
    }

    private let state: Lock<State>
    private let limits: EndpointGate.Limits
    private let timeSource: TimeSource
    private let random: RandomSource

    init(_ configuration: WebhookSender.Configuration, _ timeSource: TimeSource, _ random: RandomSource) {
        limits = EndpointGate.Limits(
            permits: configuration.permitsPerEndpoint,
            failuresBeforeQuarantine: configuration.failuresBeforeQuarantine,
            probeInterval: configuration.probeInterval.saturatingNanoseconds
        )
        state = Lock(State(logs: AttemptLogs(capacity: configuration.logCapacity, maxAge: configuration.logAge)))
        self.timeSource = timeSource
        self.random = random
    }

    /// Changes the gate of an endpoint.
    private func change<Result>(
        _ id: String,
        _ body: (inout EndpointGate, EndpointGate.Limits, _ now: Int64) -> Result
    ) -> Result {
        let now = timeSource.now
        return state.withLock { body(&$0.gates[id, default: EndpointGate()], limits, now) }
    }

    func admit(_ id: String, isQuarantined: Bool) -> EndpointGate.Admission {
        let now = timeSource.now
        return state.withLock { state in
            var gate = state.gates[id] ?? EndpointGate()
            if isQuarantined, state.gates[id] == nil { gate.adoptQuarantine(now: now) }
            defer { state.gates[id] = gate }
            return gate.admit(limits, now: now, random: random)
        }
    }

    func release(_ id: String) { change(id) { gate, _, _ in gate.release() } }

    func cancel(_ id: String, isProbe: Bool) { change(id) { gate, _, _ in gate.cancel(isProbe: isProbe) } }

    /// Records a success, and returns whether the success ended a quarantine.
    func succeed(_ id: String, after duration: Duration) -> Bool {
        change(id) { gate, _, _ in gate.succeed(after: duration.saturatingNanoseconds) }
    }

    /// Records a failure, and returns whether the failure began a quarantine.
    func fail(_ id: String, isProbe: Bool, slow: Duration?) -> Bool {
        change(id) { gate, limits, now in gate.fail(isProbe: isProbe, slow: slow, limits, now: now) }
    }

    /// Returns the time after which the message of a failed probe returns.
    func waitAfterProbe(_ id: String) -> Duration { change(id) { gate, _, now in gate.waitAfterProbe(now: now) } }

    /// Removes the quarantine of an endpoint.
    func reset(_ id: String) { change(id) { gate, _, _ in _ = gate.succeed(after: 1_000_000_000) } }

    func record(_ attempt: WebhookAttempt, of id: String) {
        let now = timeSource.now
        state.withLock { state in
            let isTimeToClean = state.logs.append(attempt, of: id)
            if isTimeToClean { state.gates = state.gates.filter { !$0.value.isIdle(now: now) } }
        }
    }

    func attempts(of id: String, unixSeconds: Int64) -> [WebhookAttempt] {
        state.withLock { state in
            state.logs.removeOld(of: id, at: unixSeconds)
            return state.logs.attempts[id] ?? []
        }
    }

    var snapshot: WebhookSender.Snapshot {
        let now = timeSource.now
        let gates = state.withLock { $0.gates.filter { !$0.value.isIdle(now: now) } }
        let endpoints = gates.sorted { $0.key < $1.key }.map { id, gate in
            WebhookSender.Snapshot.Endpoint(
                id: id,
                running: gate.running,
                failures: gate.failures,
                probeAfter: gate.probeAt.map { .nanoseconds(max(0, $0.saturatingSubtract(now))) }
            )
        }
        return WebhookSender.Snapshot(endpoints: endpoints)
    }
}
