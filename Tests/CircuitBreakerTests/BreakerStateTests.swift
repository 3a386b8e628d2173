import ReliabilityCore
import Testing

@testable import CircuitBreaker

private typealias Permit = UInt64

/// A breaker's state with everything that is outside of it: the time and the permits that were given out.
private struct World: Hashable {
    var state: BreakerState
    var now: Int64 = 0
    /// The generation of every permit that has not been settled.
    var permits: [Permit] = []

    var isHalfOpen: Bool { if case .halfOpen = state.phase { true } else { false } }
    var isOpen: Bool { if case .open = state.phase { true } else { false } }
}

private func configuration(_ trip: BreakerTrip, openFor: Int64 = 4, probes: Int = 2) -> BreakerConfiguration {
    BreakerConfiguration(trip: trip, openFor: .nanoseconds(openFor), probes: probes)
}

@Suite("BreakerState")
struct BreakerStateTests {
    /// Every state that up to `depth` events lead to, each visited once.
    private func explore(_ configuration: BreakerConfiguration, depth: Int) -> Set<World> {
        var seen: Set<World> = [World(state: BreakerState(configuration))]
        var frontier = seen
        for _ in 0..<depth {
            var next: Set<World> = []
            for world in frontier {
                for successor in successors(of: world, configuration) where seen.insert(successor).inserted {
                    next.insert(successor)
                }
            }
            frontier = next
        }
        return seen
    }

    private func successors(of world: World, _ configuration: BreakerConfiguration) -> [World] {
        var worlds: [World] = []
        for step in [Int64(1), 4] {
            var later = world
            later.now += step
            worlds.append(later)
        }
        if world.permits.count < 4 { worlds.append(admit(world, configuration)) }
        for permit in Set(world.permits) { worlds += callsInside(permit, world) }
        // Permits of one generation are alike.
        for permit in Set(world.permits) {
            for outcome in [Outcome.success, .failure, .ignored] {
                worlds.append(settle(permit, outcome, world, configuration))
            }
        }
        return worlds
    }

    private func admit(_ world: World, _ configuration: BreakerConfiguration) -> World {
        var after = world
        let (admission, event) = after.state.admit(now: world.now)
        expectConsistent(event, world, after, configuration)
        switch admission {
        case .admitted(let generation, let role):
            require(generation == after.state.generation, "a permit is of the present generation", world)
            require(!after.isOpen, "an open breaker admits nothing", world)
            require((role == .call) == (after.state.phase == .closed), "only a half-open breaker has probes", world)
            after.permits = (after.permits + [generation]).sorted()
        case .refused(let wait):
            require(!(world.state.phase == .closed), "a closed breaker admits everything", world)
            require(wait > 0, "a refusal says when", world)
            require(event == nil, "a refusal changes no phase", world)
            var then = after.state
            if case .refused = then.admit(now: world.now + wait).0 {
                require(false, "a call comes through after the wait", world)
            }
        }
        return after
    }

    /// The calls that a call with this permit makes through the same breaker while the breaker is half-open.
    private func callsInside(_ permit: Permit, _ world: World) -> [World] {
        guard world.isHalfOpen else { return [] }
        var after = world
        let (admission, event) = after.state.admit(now: world.now, partOf: permit)
        guard permit == world.state.generation else {
            if case .admitted(_, .partOfProbe) = admission {
                require(false, "a probe of another generation admits nothing", world)
            }
            return []
        }
        require(admission == .admitted(generation: permit, .partOfProbe), "a probe's own call comes through", world)
        require(event == nil && after.state == world.state, "a part of a probe takes no place", world)
        _ = after.state.settle(.failure, generation: permit, now: world.now)
        require(after.isOpen, "a failed part of a probe opens the breaker", world)
        return [after]
    }

    private func settle(
        _ permit: Permit,
        _ outcome: Outcome,
        _ world: World,
        _ configuration: BreakerConfiguration
    ) -> World {
        var after = world
        after.permits.remove(at: world.permits.firstIndex(of: permit) ?? 0)
        let event = after.state.settle(outcome, generation: permit, now: world.now)
        expectConsistent(event, world, after, configuration)
        if permit != world.state.generation {
            require(after.state == world.state, "INV-7: a permit has no effect in another generation", world)
        }
        if outcome == .ignored {
            require(event == nil, "INV-3: an ignored call changes no phase", world)
            if !world.isHalfOpen { require(after.state == world.state, "an ignored call counts nowhere", world) }
        }
        if outcome == .failure, permit == world.state.generation, world.isHalfOpen {
            require(after.isOpen, "a failed probe opens the breaker", world)
        }
        if outcome == .success, !world.isHalfOpen {
            require(event == nil, "a success changes a half-open breaker only", world)
        }
        return after
    }

    private func expectConsistent(
        _ event: BreakerEvent?,
        _ before: World,
        _ after: World,
        _ configuration: BreakerConfiguration
    ) {
        let (old, new) = (before.state.generation, after.state.generation)
        switch event {
        case nil: require(old == new, "only an event begins a generation", before)
        case .opened(let generation, let wait):
            require(generation == new && new == old + 1 && after.isOpen, "opened", before)
            require(wait == configuration.openFor, "it opens for as long as configured", before)
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
                "INV-8: no more probes than configured",
                before
            )
        }
    }

    private func require(_ isTrue: Bool, _ rule: Comment, _ world: World) {
        if !isTrue { Issue.record("\(rule); in \(world)") }
    }

    @Test(
        "every sequence of events keeps the invariants, for every rule",
        arguments: [
            BreakerTrip.consecutiveFailures(1), .consecutiveFailures(2), .failures(2, within: .nanoseconds(3)),
            .failureRate(0.5, minimumCalls: 2, within: .nanoseconds(5)),
        ],
        1...2
    )
    func exhaustive(trip: BreakerTrip, probes: Int) {
        let worlds = explore(configuration(trip, probes: probes), depth: 13)
        // The walk is of use only if it comes everywhere.
        #expect(worlds.contains { $0.isOpen })
        #expect(worlds.contains { $0.isHalfOpen })
        #expect(worlds.contains { $0.state.phase == .closed && $0.state.generation >= 4 })
        #expect(worlds.contains { $0.isHalfOpen && $0.state.generation >= 4 && $0.permits.contains(3) })
    }

    @Test("INV-2: probes that never end are replaced, each time after twice as long, and their answers change nothing")
    func lostProbes() {
        var state = BreakerState(configuration(.consecutiveFailures(1), openFor: 10, probes: 1))
        #expect(state.settle(.failure, generation: 1, now: 0) == .opened(generation: 2, for: .nanoseconds(10)))
        #expect(state.admit(now: 10).0 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: 19).0 == .refused(wait: 1))
        #expect(state.admit(now: 20).0 == .admitted(generation: 4, .probe))
        #expect(state.admit(now: 39).0 == .refused(wait: 1))
        #expect(state.admit(now: 40).0 == .admitted(generation: 5, .probe))
        let before = state
        #expect(state.settle(.success, generation: 3, now: 41) == nil)
        #expect(state.settle(.failure, generation: 4, now: 41) == nil)
        #expect(state == before)
        #expect(state.settle(.success, generation: 5, now: 79) == .closed(generation: 6))
    }

    @Test("a clock that was set back closes an open breaker's door for at most openFor, and traps nowhere")
    func clockSetBack() {
        var state = BreakerState(configuration(.consecutiveFailures(1), openFor: 10, probes: 1))
        _ = state.settle(.failure, generation: 1, now: .max - 5)
        #expect(state.admit(now: 1000).0 == .refused(wait: 10))
        #expect(state.admit(now: 1009).0 == .refused(wait: 1))
        #expect(state.admit(now: 1010).0 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: .min).0 == .refused(wait: 10))
        #expect(state.admit(now: .min + 10).0 == .admitted(generation: 4, .probe))
    }

    @Test("a caller that read the clock before another opened the breaker does not shorten the wait")
    func slowReader() {
        var state = BreakerState(configuration(.consecutiveFailures(1), openFor: 10, probes: 1))
        _ = state.settle(.failure, generation: 1, now: 100)
        #expect(state.admit(now: 95).0 == .refused(wait: 10))
        #expect(state.admit(now: 109).0 == .refused(wait: 1))
        #expect(state.admit(now: 110).0 == .admitted(generation: 3, .probe))
    }

    @Test("the longest openFor saturates")
    func longest() {
        var state = BreakerState(
            BreakerConfiguration(trip: .consecutiveFailures(1), openFor: .seconds(Int64.max), probes: 1)
        )
        _ = state.settle(.failure, generation: 1, now: 5)
        #expect(state.admit(now: 6).0 == .refused(wait: .max - 6))
        #expect(state.admit(now: .max).0 == .admitted(generation: 3, .probe))
        #expect(state.admit(now: .max).0 == .admitted(generation: 4, .probe))
    }
}
