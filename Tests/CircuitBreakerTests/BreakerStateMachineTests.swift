import ReliabilityCore
import Testing

@testable import CircuitBreaker

private typealias Permit = BreakerTicket

/// A node of the explored graph: the state machine, the time and the unsettled permits.
private struct Node: Hashable {
    var state: BreakerStateMachine
    var now: Int64 = 0
    /// The ticket of every permit that has not been settled.
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
        var seen: Set<Node> = [Node(state: BreakerStateMachine(SharedConfiguration(configuration)))]
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
        // Calls of one generation are alike.
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
        case .admitted(let ticket):
            require(ticket.generation == after.state.generation, "a permit is of the present generation", node)
            require(!after.isOpen, "an open breaker admits nothing", node)
            require(
                (ticket.role == .call) == (after.state.phase == .closed),
                "only a half-open breaker has probes",
                node
            )
            after.permits = (after.permits + [ticket]).sorted { ($0.generation, $0.mark) < ($1.generation, $1.mark) }
        case .rejected(let wait):
            require(!(node.state.phase == .closed), "a closed breaker admits everything", node)
            require(wait ?? 0 > 0, "a rejection has a wait", node)
            require(after.state.generation == node.state.generation, "a rejection changes no phase", node)
            var then = after.state
            if case .rejected = then.admit(now: node.now + (wait ?? 0)).1 {
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
        guard permit.generation == node.state.generation, after.state.probing.isRunning(permit.mark) else {
            if case .admitted(let ticket) = admission {
                require(ticket.role == .probe, "a probe that has no place admits nothing", node)
            }
            return []
        }
        let part = BreakerTicket(generation: permit.generation, role: .partOfProbe, mark: permit.mark)
        require(admission == .admitted(part), "a probe's own call comes through", node)
        if event == nil { require(after.state == node.state, "a part of a probe takes no place", node) }
        _ = after.state.settle(.failure, part, now: node.now)
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
        let event = after.state.settle(outcome, permit, now: node.now)
        expectConsistent(event, node, after, configuration)
        if permit.generation != node.state.generation {
            require(after.state == node.state, "a permit has no effect in another generation", node)
        }
        if outcome == .ignored {
            require(after.state.generation == node.state.generation, "an ignored call changes no phase", node)
            if !node.isHalfOpen { require(after.state == node.state, "an ignored call counts nowhere", node) }
        }
        if outcome == .failure, permit.generation == node.state.generation, node.isHalfOpen,
            !hasLostPlace(permit, node)
        {
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
        case .probesLost(let generation, let count):
            require(generation == new && new == old && count > 0 && before.isHalfOpen, "lost", before)
        case .forced, .released: require(false, "no handle forces the breaker", before)
        case .missed: require(false, "a breaker drops no event by itself", before)
        }
        if after.isHalfOpen {
            let probing = after.state.probing
            require(
                probing.probes.count + probing.successes <= configuration.probes
                    && probing.successes < configuration.probes,
                "no more probes than configured",
                before
            )
        }
    }

    /// Returns whether the lease of a probe has ended.
    private func hasLostPlace(_ permit: Permit, _ node: Node) -> Bool {
        var probing = node.state.probing
        _ = probing.removeLost(now: node.now)
        return !probing.isRunning(permit.mark)
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
        let nodes = explore(configuration(trip, probes: probes), depth: 12)
        // The exploration must reach every phase.
        #expect(nodes.contains { $0.isOpen })
        #expect(nodes.contains { $0.isHalfOpen })
        #expect(nodes.contains { $0.state.phase == .closed && $0.state.generation >= 4 })
        #expect(
            nodes.contains { $0.isHalfOpen && $0.state.generation >= 4 && $0.permits.contains { $0.generation == 3 } }
        )
    }

    /// A state machine whose breaker has opened at a time.
    private func opened(at now: Int64, openDuration: Duration = .nanoseconds(10)) -> BreakerStateMachine {
        var state = BreakerStateMachine(
            SharedConfiguration(
                Breaker.Configuration(tripCondition: .consecutiveFailures(1), openDuration: openDuration)
            )
        )
        let ticket = BreakerTicket(generation: 1, role: .call)
        #expect(state.settle(.failure, ticket, now: now) == .opened(generation: 2, for: openDuration))
        return state
    }

    private func probe(_ number: Int64) -> BreakerTicket {
        BreakerTicket(generation: 3, role: .probe, mark: number)
    }

    @Test("lost probes are replaced after twice the previous time, and their late results change nothing")
    func lostProbes() {
        var state = opened(at: 0)
        #expect(state.admit(now: 10).1 == .admitted(probe(0)))
        #expect(state.admit(now: 19).1 == .rejected(wait: 1))
        let (event, admission) = state.admit(now: 20)
        #expect(event == .probesLost(generation: 3, count: 1) && admission == .admitted(probe(1)))
        #expect(state.admit(now: 39).1 == .rejected(wait: 1))
        #expect(state.admit(now: 40).1 == .admitted(probe(2)))
        let before = state
        #expect(state.settle(.success, probe(0), now: 41) == nil)
        #expect(state.settle(.failure, probe(1), now: 41) == nil)
        #expect(state == before)
        #expect(state.settle(.success, probe(2), now: 79) == .closed(generation: 4))
    }

    @Test("a probe that ends after its lease changes nothing, although no other call has its place")
    func lateProbe() {
        var state = opened(at: 0)
        #expect(state.admit(now: 10).1 == .admitted(probe(0)))
        #expect(state.settle(.success, probe(0), now: 20) == .probesLost(generation: 3, count: 1))
        #expect(state.phase == .halfOpen && state.probing.successes == 0)
        #expect(state.admit(now: 21).1 == .admitted(probe(1)))
    }

    @Test("a clock that was set back rejects calls for at most openDuration")
    func clockSetBack() {
        var state = opened(at: .max - 5)
        #expect(state.admit(now: 1000).1 == .rejected(wait: 10))
        #expect(state.admit(now: 1009).1 == .rejected(wait: 1))
        #expect(state.admit(now: 1010).1 == .admitted(probe(0)))
        #expect(state.admit(now: .min).1 == .rejected(wait: 10))
        #expect(state.admit(now: .min + 10).1 == .admitted(probe(1)))
    }

    @Test("a caller with an older clock reading does not shorten the wait")
    func slowReader() {
        var state = opened(at: 100)
        #expect(state.admit(now: 95).1 == .rejected(wait: 10))
        #expect(state.admit(now: 109).1 == .rejected(wait: 1))
        #expect(state.admit(now: 110).1 == .admitted(probe(0)))
    }

    @Test("the longest openDuration saturates")
    func longest() {
        var state = BreakerStateMachine(
            SharedConfiguration(
                Breaker.Configuration(
                    tripCondition: .slowCallRate(
                        1,
                        slowerThan: .seconds(Int64.max),
                        minCalls: 1,
                        within: .seconds(Int64.max)
                    )
                    .or(.consecutiveFailures(1)),
                    openDuration: .seconds(Int64.max),
                    openDurationFactor: 100,
                    jitter: 1,
                    rampDuration: .seconds(Int64.max)
                )
            )
        )
        let ticket = BreakerTicket(generation: 1, role: .call)
        let longest = BreakerEvent.opened(generation: 2, for: .nanoseconds(Int64.max))
        #expect(state.settle(.failure, ticket, now: 5) == longest)
        #expect(state.admit(now: 6).1 == .rejected(wait: .max - 6))
        #expect(state.admit(now: .max).1 == .admitted(probe(0)))
        #expect(state.admit(now: .max).1 == .admitted(probe(1)))
    }
}
