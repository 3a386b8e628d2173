import ReliabilityCore
import Testing

@testable import CircuitBreaker

private typealias Permit = UInt64

/// A node of the explored graph: the state machine, the time and the unsettled permits.
private struct Node: Hashable {
    var state: BreakerStateMachine
    var now: Int64 = 0
    /// The generation of every permit that has not been settled.
    var permits: [Permit] = []

    var isHalfOpen: Bool { if case .halfOpen = state.phase { true } else { false } }
    var isOpen: Bool { if case .open = state.phase { true } else { false } }
}

private func configuration(_ trip: TripCondition, openDuration: Int64 = 4, probes: Int = 2)
    -> Breaker.Configuration
{
    Breaker.Configuration(tripCondition: trip, openDuration: .nanoseconds(openDuration), probes: probes)
}

@Suite("BreakerStateMachine")
struct BreakerStateMachineTests {
    /// The nodes that up to `depth` events lead to.
    private func explore(_ configuration: Breaker.Configuration, depth: Int) -> Set<Node> {
        var seen: Set<Node> = [Node(state: BreakerStateMachine(configuration))]
        var frontier = seen
        for _ in 0..<depth {
            var next: Set<Node> = []
            for node in frontier {
                for successor in successors(of: node, configuration) where seen.insert(successor).inserted {
                    next.insert(successor)
                }
            }
            frontier = next
        }
        return seen
    }

    private func successors(of node: Node, _ configuration: Breaker.Configuration) -> [Node] {
        var nodes: [Node] = []
        for step in [Int64(1), 4] {
            var later = node
            later.now += step
            nodes.append(later)
        }
        if node.permits.count < 4 { nodes.append(admit(node, configuration)) }
        for permit in Set(node.permits) { nodes += callsInside(permit, node) }
        // Permits of one generation are alike.
        for permit in Set(node.permits) {
            for outcome in [Outcome.success, .failure, .ignored] {
                nodes.append(settle(permit, outcome, node, configuration))
            }
        }
        return nodes
    }

    private func admit(_ node: Node, _ configuration: Breaker.Configuration) -> Node {
        var after = node
        let (event, admission) = after.state.admit(now: node.now)
        expectConsistent(event, node, after, configuration)
        switch admission {
        case .admitted(let generation, let role):
            require(generation == after.state.generation, "a permit is of the present generation", node)
            require(!after.isOpen, "an open breaker admits nothing", node)
            require((role == .call) == (after.state.phase == .closed), "only a half-open breaker has probes", node)
            after.permits = (after.permits + [generation]).sorted()
        case .rejected(let wait):
            require(!(node.state.phase == .closed), "a closed breaker admits everything", node)
            require(wait > 0, "a rejection has a wait", node)
            require(event == nil, "a rejection changes no phase", node)
            var then = after.state
            if case .rejected = then.admit(now: node.now + wait).1 {
                require(false, "a call comes through after the wait", node)
            }
        }
        return after
    }

    /// The calls that a call with this permit makes through the same breaker while the breaker is half-open.
    private func callsInside(_ permit: Permit, _ node: Node) -> [Node] {
        guard node.isHalfOpen else { return [] }
        var after = node
        let (event, admission) = after.state.admit(now: node.now, partOf: permit)
        guard permit == node.state.generation else {
            if case .admitted(_, .partOfProbe) = admission {
                require(false, "a probe of another generation admits nothing", node)
            }
            return []
        }
        require(admission == .admitted(generation: permit, .partOfProbe), "a probe's own call comes through", node)
        require(event == nil && after.state == node.state, "a part of a probe takes no place", node)
        _ = after.state.settle(.failure, generation: permit, now: node.now)
        require(after.isOpen, "a failed part of a probe opens the breaker", node)
        return [after]
    }

    private func settle(
        _ permit: Permit,
        _ outcome: Outcome,
        _ node: Node,
        _ configuration: Breaker.Configuration
    ) -> Node {
        var after = node
        after.permits.remove(at: node.permits.firstIndex(of: permit) ?? 0)
        let event = after.state.settle(outcome, generation: permit, now: node.now)
        expectConsistent(event, node, after, configuration)
        if permit != node.state.generation {
            require(after.state == node.state, "a permit has no effect in another generation", node)
        }
        if outcome == .ignored {
            require(event == nil, "an ignored call changes no phase", node)
            if !node.isHalfOpen { require(after.state == node.state, "an ignored call counts nowhere", node) }
        }
        if outcome == .failure, permit == node.state.generation, node.isHalfOpen {
            require(after.isOpen, "a failed probe opens the breaker", node)
        }
        if outcome == .success, !node.isHalfOpen {
            require(event == nil, "a success changes a half-open breaker only", node)
        }
        return after
    }

    private func expectConsistent(
        _ event: BreakerEvent?,
        _ before: Node,
        _ after: Node,
        _ configuration: Breaker.Configuration
    ) {
        let (old, new) = (before.state.generation, after.state.generation)
        switch event {
        case nil: require(old == new, "only an event begins a generation", before)
        case .opened(let generation, let wait):
            require(generation == new && new == old + 1 && after.isOpen, "opened", before)
            require(wait == configuration.openDuration, "it opens for as long as configured", before)
        case .halfOpened(let generation):
            require(generation == new && new == old + 1 && after.isHalfOpen, "half-opened", before)
        case .closed(let generation):
            require(generation == new && new == old + 1 && after.state.phase == .closed, "closed", before)
            require(before.isHalfOpen, "only probes close a breaker", before)
        case .missed: require(false, "a breaker drops no event by itself", before)
        }
        if case .halfOpen(let probing) = after.state.phase {
            require(probing.inFlight >= 0 && probing.successes >= 0, "no count is negative", before)
            require(
                probing.inFlight + probing.successes <= configuration.probes
                    && probing.successes < configuration.probes,
                "no more probes than configured",
                before
            )
        }
    }

    private func require(_ isTrue: Bool, _ rule: Comment, _ node: Node) {
        if !isTrue { Issue.record("\(rule); in \(node)") }
    }

    @Test(
        "every sequence of events keeps the invariants of the state machine",
        arguments: [
            TripCondition.consecutiveFailures(1), .consecutiveFailures(2), .failures(2, within: .nanoseconds(3)),
            .failureRate(0.5, minCalls: 2, within: .nanoseconds(5)),
        ],
        1...2
    )
    func exhaustive(trip: TripCondition, probes: Int) {
        let nodes = explore(configuration(trip, probes: probes), depth: 13)
        // The exploration must reach every phase.
        #expect(nodes.contains { $0.isOpen })
        #expect(nodes.contains { $0.isHalfOpen })
        #expect(nodes.contains { $0.state.phase == .closed && $0.state.generation >= 4 })
        #expect(nodes.contains { $0.isHalfOpen && $0.state.generation >= 4 && $0.permits.contains(3) })
    }

    @Test("lost probes are replaced after twice the previous time, and their late results change nothing")
    func lostProbes() {
        var state = BreakerStateMachine(configuration(.consecutiveFailures(1), openDuration: 10, probes: 1))
        #expect(state.settle(.failure, generation: 1, now: 0) == .opened(generation: 2, for: .nanoseconds(10)))
        #expect(state.admit(now: 10).1 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: 19).1 == .rejected(wait: 1))
        #expect(state.admit(now: 20).1 == .admitted(generation: 4, .probe))
        #expect(state.admit(now: 39).1 == .rejected(wait: 1))
        #expect(state.admit(now: 40).1 == .admitted(generation: 5, .probe))
        let before = state
        #expect(state.settle(.success, generation: 3, now: 41) == nil)
        #expect(state.settle(.failure, generation: 4, now: 41) == nil)
        #expect(state == before)
        #expect(state.settle(.success, generation: 5, now: 79) == .closed(generation: 6))
    }

    @Test("a clock that was set back rejects calls for at most openDuration")
    func clockSetBack() {
        var state = BreakerStateMachine(configuration(.consecutiveFailures(1), openDuration: 10, probes: 1))
        _ = state.settle(.failure, generation: 1, now: .max - 5)
        #expect(state.admit(now: 1000).1 == .rejected(wait: 10))
        #expect(state.admit(now: 1009).1 == .rejected(wait: 1))
        #expect(state.admit(now: 1010).1 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: .min).1 == .rejected(wait: 10))
        #expect(state.admit(now: .min + 10).1 == .admitted(generation: 4, .probe))
    }

    @Test("a caller with an older clock reading does not shorten the wait")
    func slowReader() {
        var state = BreakerStateMachine(configuration(.consecutiveFailures(1), openDuration: 10, probes: 1))
        _ = state.settle(.failure, generation: 1, now: 100)
        #expect(state.admit(now: 95).1 == .rejected(wait: 10))
        #expect(state.admit(now: 109).1 == .rejected(wait: 1))
        #expect(state.admit(now: 110).1 == .admitted(generation: 3, .probe))
    }

    @Test("the longest openDuration saturates")
    func longest() {
        var state = BreakerStateMachine(
            Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: .seconds(Int64.max), probes: 1)
        )
        _ = state.settle(.failure, generation: 1, now: 5)
        #expect(state.admit(now: 6).1 == .rejected(wait: .max - 6))
        #expect(state.admit(now: .max).1 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: .max).1 == .admitted(generation: 4, .probe))
    }
}
