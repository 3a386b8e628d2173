import ReliabilityTesting
import Testing

@testable import ReliabilityCore
@testable import ReliabilityStore

/// A server and a connection state machine in virtual time.
private struct Network {
    enum Health {
        case up
        case refusing
        /// Connections are accepted, and nothing is answered.
        case silent
        /// Answers come after the limit of an attempt or a check.
        case slow
        /// The server answers and does not keep a promise.
        case misconfigured
    }

    private enum Event {
        case attemptEnds(UInt64)
        case checkEnds(UInt64, Int)
    }

    var machine: ConnectionStateMachine<Int>
    var random: SeededGenerator
    var now: Int64 = 0
    var health = Health.up
    private(set) var changes: [(at: Int64, from: StoreConnectionState, to: StoreConnectionState)] = []
    private(set) var openClients: Set<Int> = []
    private(set) var attemptTimes: [Int64] = []
    private var pending: [(at: Int64, event: Event)] = []
    private var wakeAt = Int64.max
    private var nextClient = 0
    private(set) var problems: [String] = []
    private var latestCheck: UInt64 = 0
    private var latency: Int64 { health == .slow ? 4 * Self.second : 1_000_000 }

    static let second: Int64 = 1_000_000_000

    init(seed: UInt64 = 1, _ change: (inout ConnectionLimits) -> Void = { _ in }) {
        var limits = ConnectionLimits()
        change(&limits)
        machine = ConnectionStateMachine(limits)
        random = SeededGenerator(seed: seed)
        apply(machine.start(now: now))
    }

    var state: StoreConnectionState { machine.state }

    mutating func apply(_ actions: [ConnectionStateMachine<Int>.Action]) {
        for action in actions {
            switch action {
            case .connect(let number, let limit):
                attemptTimes.append(now)
                wakeAt = limit
                pending.append((now + latency, .attemptEnds(number)))
            case .check(let number, let client, let limit):
                if !openClients.contains(client) { problems.append("a check of a closed client") }
                wakeAt = limit
                latestCheck = number
                pending.append((now + latency, .checkEnds(number, client)))
            case .wait(let instant): wakeAt = instant
            case .close(let client):
                if openClients.remove(client) == nil { problems.append("a client was closed twice") }
            case .report(let from, let to, _):
                if let last = changes.last, last.to != from {
                    problems.append("a change from \(from) after \(last.to)")
                }
                changes.append((now, from, to))
            }
        }
        if openClients.count > 1 { problems.append("two clients are open") }
    }

    /// Runs until an instant.
    mutating func run(for duration: Duration) {
        let end = now + duration.saturatingNanoseconds
        while true {
            let first = pending.indices.min { pending[$0].at < pending[$1].at }
            let nextEvent = first.map { pending[$0].at } ?? .max
            let next = min(nextEvent, wakeAt)
            if next > end { break }
            now = max(now, next)
            if let first, nextEvent <= wakeAt {
                finish(pending.remove(at: first).event)
            } else {
                wakeAt = .max
                apply(machine.wake(now: now, random: random.next()))
            }
        }
        now = end
    }

    private mutating func finish(_ event: Event) {
        let error: StoreError? =
            switch health {
            case .up, .slow: nil
            case .refusing: StoreError(.unavailable, "refused")
            case .misconfigured: StoreError(.failed, "misconfigured")
            case .silent: nil
            }
        if health == .silent { return }
        switch (event, error) {
        case (.attemptEnds(let number), nil):
            nextClient += 1
            openClients.insert(nextClient)
            apply(machine.connected(number, nextClient, now: now, random: random.next()))
        case (.attemptEnds(let number), let error?):
            apply(machine.failedToConnect(number, error, now: now, random: random.next()))
        case (.checkEnds(let number, let client), let error):
            let actions = machine.checked(number, error, now: now, random: random.next())
            let isLate = number != latestCheck || !openClients.contains(client)
            if isLate, !actions.isEmpty { problems.append("a late result of a check changed something") }
            apply(actions)
        }
    }

    mutating func lose() {
        let error = StoreError(.unavailable, "lost")
        apply(machine.lost(machine.number, error, now: now, random: random.next()))
    }

    mutating func fail() {
        apply(machine.failed(machine.number, StoreError(.unavailable, "failed"), now: now))
    }
}

@Suite("ConnectionStateMachine")
struct ConnectionStateMachineTests {
    @Test("a server that is up is ready after the first attempt")
    func ready() {
        var network = Network()
        #expect(network.state == .connecting)
        network.run(for: .milliseconds(2))
        #expect(network.state == .ready)
        #expect(network.openClients.count == 1)
    }

    @Test("N27: after ten attempts the server is gone, and an attempt follows each second, forever")
    func gone() {
        var network = Network()
        network.health = .refusing
        network.run(for: .seconds(20))
        #expect(network.state == .gone)
        #expect(network.changes.map(\.to) == [.gone])
        let attempts = network.attemptTimes.filter { $0 <= network.changes[0].at }
        #expect(attempts.count == 10)
        network.run(for: .seconds(300))
        let gaps = zip(network.attemptTimes, network.attemptTimes.dropFirst()).map { $1 - $0 }.dropFirst(10)
        #expect(gaps.allSatisfy { (Network.second / 2...Network.second * 3 / 2 + 1_000_000).contains($0) })
        #expect(gaps.count > 150)
    }

    @Test(
        "N27: a store is ready within two seconds after its server is back, also after five minutes",
        arguments: 1...50
    )
    func recovery(seed: UInt64) {
        for outage in [Duration.milliseconds(50), .seconds(1), .seconds(5), .seconds(60), .seconds(300)] {
            for health in [Network.Health.refusing, .silent] {
                var network = Network(seed: seed)
                network.run(for: .seconds(30))
                network.health = health
                if health == .refusing { network.lose() } else { for _ in 0..<3 { network.fail() } }
                network.run(for: outage)
                #expect(network.state != .ready)
                network.health = .up
                // An attempt that began before may last until its limit of three seconds.
                network.run(for: health == .refusing ? .seconds(2) : .seconds(5))
                #expect(network.state == .ready, "\(outage) \(health), seed \(seed)")
            }
        }
    }

    @Test("N29: clients of a server that is back come spread over time")
    func spread() {
        var times: Set<Int64> = []
        for seed in 1...200 as ClosedRange<UInt64> {
            var network = Network(seed: seed)
            network.health = .refusing
            network.run(for: .seconds(60))
            network.health = .up
            network.run(for: .seconds(3))
            if let last = network.changes.last, last.to == .ready {
                times.insert((last.at - 60 * Network.second) / 100_000_000)
            }
        }
        #expect(times.count >= 10)
    }

    @Test("three failed calls in a minute degrade a server, and a check that succeeds ends this")
    func degraded() {
        var network = Network()
        network.run(for: .seconds(1))
        network.fail()
        network.run(for: .seconds(20))
        network.fail()
        #expect(network.state == .ready)
        // Both failures are more than a minute ago. The checks that succeeded since do not matter.
        network.run(for: .seconds(61))
        network.fail()
        network.run(for: .seconds(30))
        network.fail()
        #expect(network.state == .ready)
        network.fail()
        #expect(network.state == .degraded)
        network.run(for: .milliseconds(5))
        #expect(network.state == .ready)
    }

    @Test("a client that a check cannot reach the server with is replaced")
    func replaced() {
        var network = Network()
        network.run(for: .seconds(1))
        network.health = .refusing
        network.run(for: .seconds(20))
        #expect(network.openClients.isEmpty)
        network.health = .up
        network.run(for: .seconds(2))
        #expect(network.state == .ready)
        #expect(network.problems == [])
    }

    @Test("a server that does not keep a promise is degraded until the server keeps the promise")
    func misconfigured() {
        var network = Network()
        network.run(for: .seconds(1))
        network.health = .misconfigured
        network.run(for: .seconds(15))
        #expect(network.state == .degraded)
        network.run(for: .seconds(300))
        #expect(network.state == .degraded)
        network.health = .up
        network.run(for: .seconds(2))
        #expect(network.state == .ready)
    }

    @Test("a client that is lost during its attempt is not used")
    func lostEarly() {
        var network = Network()
        network.lose()
        network.run(for: .milliseconds(1))
        #expect(network.state == .connecting)
        #expect(network.openClients.isEmpty)
        network.run(for: .seconds(1))
        #expect(network.state == .ready)
    }

    @Test("clients that are lost soon after each other are replaced ever more slowly")
    func shortLives() {
        var network = Network()
        var attempts = 0
        for _ in 0..<1000 {
            network.run(for: .milliseconds(10))
            if network.state == .ready { network.lose() }
            attempts = network.attemptTimes.count
        }
        // Ten seconds. Without a delay there is an attempt in each step.
        #expect(attempts < 60)
        network.run(for: .seconds(2))
        #expect(network.state == .ready)
    }

    @Test("the late result of a check of an earlier client changes nothing")
    func lateCheck() {
        var machine = ConnectionStateMachine<Int>(ConnectionLimits())
        let error = StoreError(.unavailable, "failed")
        func check(_ client: Int) -> UInt64? {
            _ = machine.connected(machine.number, client, now: 0, random: 0)
            var number: UInt64?
            for _ in 0..<3 {
                for case .check(let check, _, _) in machine.failed(machine.number, error, now: 0) { number = check }
            }
            return number
        }
        _ = machine.start(now: 0)
        let first = check(1)
        _ = machine.lost(machine.number, error, now: 2 * Network.second, random: 0)
        _ = machine.wake(now: 3 * Network.second, random: 0)
        let second = check(2)
        #expect(first != nil && second != nil && first != second)
        #expect(machine.checked(first ?? 0, error, now: 0, random: 0).isEmpty)
        #expect(!machine.checked(second ?? 0, error, now: 0, random: 0).isEmpty)
    }

    @Test("a closed connection makes no attempt, and its client is closed")
    func closed() {
        var network = Network()
        network.run(for: .seconds(1))
        network.apply(network.machine.close())
        network.run(for: .seconds(100))
        #expect(network.state == .closed)
        #expect(network.openClients.isEmpty)
        #expect(network.attemptTimes.count == 1)
        #expect(network.machine.close().isEmpty)
    }

    @Test("any sequence of faults ends in ready when the server is up", arguments: 1...500 as ClosedRange<UInt64>)
    func random(seed: UInt64) {
        var choice = SeededGenerator(seed: ~seed)
        var network = Network(seed: seed)
        for _ in 0..<60 {
            switch Int.random(in: 0..<10, using: &choice) {
            case 0...1: network.health = .up
            case 2: network.health = .refusing
            case 3: network.health = .silent
            case 4: network.health = .misconfigured
            case 5: network.lose()
            case 6: network.fail()
            case 7: network.health = .slow
            default: break
            }
            network.run(for: .milliseconds(Int.random(in: 0...4000, using: &choice)))
        }
        network.health = .up
        network.run(for: .seconds(20))
        #expect(network.state == .ready, "seed \(seed)")
        #expect(network.openClients.count == 1, "seed \(seed)")
        #expect(network.problems == [], "seed \(seed)")
    }
}
