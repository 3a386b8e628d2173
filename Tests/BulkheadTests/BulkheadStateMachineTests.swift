import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import Bulkhead

@Suite("BulkheadStateMachine")
struct BulkheadStateMachineTests {
    typealias Machine = BulkheadStateMachine<Int>
    private let second: Int64 = 1_000_000_000

    private func machine(
        _ limit: Int,
        maxWaiting: Int = 10,
        maxWait: Duration = .seconds(1),
        order: BulkheadPolicy.Configuration.Order = .firstInFirstOut
    ) -> Machine {
        Machine(.init(.fixed(limit), maxWaiting: maxWaiting, maxWait: maxWait, order: order))
    }

    /// Gives free places to waiting calls, and returns the waiters that are resumed, with `nil` for an admission.
    private func fill(_ machine: inout Machine, at now: Int64 = 0) -> [Int: BulkheadError.Reason?] {
        var ends: [Int: BulkheadError.Reason?] = [:]
        machine.fill(now: now) { resumption in
            if case .rejected(let error) = resumption.verdict {
                ends[resumption.waiter] = .some(error.reason)
            } else {
                ends[resumption.waiter] = .some(nil)
            }
        }
        return ends
    }

    @discardableResult
    private func arrive(
        _ machine: inout Machine,
        _ waiter: Int,
        _ priority: CallPriority = .normal,
        of tenant: String? = nil,
        deadline: Int64 = .max,
        at now: Int64 = 0
    ) -> (arrival: Machine.Arrival, displaced: Machine.Resumption?) {
        machine.arrive(waiter, priority, of: tenant, deadline: deadline, now: now)
    }

    private func rejection(_ arrival: Machine.Arrival) -> BulkheadError.Reason? {
        if case .rejected(let error) = arrival { error.reason } else { nil }
    }

    private func next(_ machine: inout Machine, at now: Int64 = 0) -> [Int: BulkheadError.Reason?] {
        machine.release()
        return fill(&machine, at: now)
    }

    @Test("calls beyond the limit wait, and the calls beyond the queue are rejected")
    func limitAndQueue() {
        var machine = machine(2, maxWaiting: 1)
        guard case .admitted = arrive(&machine, 1).arrival, case .admitted = arrive(&machine, 2).arrival,
            case .waits(_, let until) = arrive(&machine, 3).arrival
        else {
            Issue.record("wrong arrivals")
            return
        }
        #expect(until == second)
        #expect(rejection(arrive(&machine, 4).arrival) == .full)
        #expect(next(&machine) == [3: nil])
        #expect((machine.running, machine.waiting) == (2, 0))
    }

    @Test("INV-14: no barging past a queued waiter in FIFO mode")
    func noBarging() {
        var machine = machine(1)
        _ = machine.tryAdmit()
        arrive(&machine, 1)
        machine.release()
        // The place is free, but the waiting call has not been resumed yet.
        let isAdmitted = machine.tryAdmit()
        #expect(!isAdmitted)
        guard case .waits = arrive(&machine, 2).arrival else {
            Issue.record("the call did not wait")
            return
        }
        let filled = fill(&machine)
        #expect(filled == [1: nil])
    }

    @Test("a higher priority leaves the queue first")
    func priorities() {
        var machine = machine(1)
        arrive(&machine, 0)
        for (waiter, priority) in zip(1..., [CallPriority.low, .normal, .critical, .high]) {
            arrive(&machine, waiter, priority)
        }
        #expect((1...4).map { _ in next(&machine).keys.first } == [3, 4, 2, 1])
    }

    @Test("in a full queue, the newest call of the lowest priority loses its place to a higher priority")
    func displacement() {
        var machine = machine(1, maxWaiting: 3)
        arrive(&machine, 0)
        arrive(&machine, 1, .low)
        arrive(&machine, 2, .low)
        arrive(&machine, 3, .normal)
        let (arrival, displaced) = arrive(&machine, 4, .high)
        guard case .waits = arrival else {
            Issue.record("the call did not wait")
            return
        }
        #expect(displaced?.waiter == 2)
        // The same or a lower priority displaces nobody.
        #expect(rejection(arrive(&machine, 5, .low).arrival) == .full)
        #expect(machine.counters.rejected(.displaced, .low) == 1)
        #expect(machine.counters.rejected(nil, nil) == 2)
    }

    @Test("in a full queue, a tenant with fewer waiting calls takes a place of the tenant with the most")
    func fairDisplacement() {
        var machine = machine(1, maxWaiting: 3)
        arrive(&machine, 0)
        for waiter in 1...3 { arrive(&machine, waiter, of: "a") }
        #expect(arrive(&machine, 4, of: "b").displaced?.waiter == 3)
        // Now a has two calls and b has one. A second call of b would only reverse the numbers.
        #expect(rejection(arrive(&machine, 5, of: "b").arrival) == .full)
        #expect((1...3).map { _ in next(&machine).keys.first } == [1, 4, 2])
    }

    @Test("a call whose deadline has passed is rejected immediately, and a waiting call before it could begin")
    func deadlines() {
        var machine = machine(1, maxWait: .seconds(10))
        arrive(&machine, 0)
        #expect(rejection(arrive(&machine, 1, deadline: 5, at: 5).arrival) == .deadline)
        // A call takes 2 s.
        _ = machine.record(.success, duration: 2 * second, now: 0)
        guard case .waits(let ticket, let until) = arrive(&machine, 2, deadline: 5 * second).arrival else {
            Issue.record("the call did not wait")
            return
        }
        #expect(until == 3 * second)
        guard case .rejected(let error)? = machine.expire(ticket)?.verdict else {
            Issue.record("the call was not rejected")
            return
        }
        #expect(error.reason == .deadline)
        #expect(rejection(arrive(&machine, 3, deadline: second).arrival) == .deadline)
    }

    @Test("a slow first call does not make later waiting calls miss their deadlines")
    func slowFirstCall() {
        var machine = machine(1, maxWait: .seconds(10))
        _ = machine.record(.success, duration: 100 * second, now: 0)
        for _ in 0..<20 { _ = machine.record(.success, duration: second / 100, now: 0) }
        arrive(&machine, 0)
        guard case .waits = arrive(&machine, 1, deadline: second).arrival else {
            Issue.record("the call did not wait")
            return
        }
    }

    @Test("a waiting call that would miss its deadline is passed over for a call that would not")
    func lateGrant() {
        var machine = machine(1, maxWait: .seconds(10))
        arrive(&machine, 0)
        arrive(&machine, 1, deadline: second)
        arrive(&machine, 2)
        #expect(next(&machine, at: 2 * second) == [1: .deadline, 2: nil])
    }

    @Test("a wait ends at the longest wait")
    func longestWait() {
        var machine = machine(1)
        arrive(&machine, 0)
        guard case .waits(let ticket, _) = arrive(&machine, 1).arrival else {
            Issue.record("the call did not wait")
            return
        }
        guard case .rejected(let error)? = machine.expire(ticket)?.verdict else {
            Issue.record("the call was not rejected")
            return
        }
        #expect(error.reason == .waitedTooLong)
        let again = machine.expire(ticket)
        #expect(again == nil)
        #expect(machine.waiting == 0)
    }

    @Test("an overloaded queue admits the newest call and rejects calls that waited longer than the target")
    func adaptiveLIFO() {
        let order = BulkheadPolicy.Configuration.Order.adaptiveLIFO()
        let millisecond: Int64 = 1_000_000
        var machine = machine(1, order: order)
        arrive(&machine, 0)
        for waiter in 1...3 { arrive(&machine, waiter, at: Int64(waiter)) }
        // Not overloaded yet: the oldest call.
        #expect(next(&machine, at: 50 * millisecond) == [1: nil])
        arrive(&machine, 4, at: 98 * millisecond)
        #expect(next(&machine, at: 110 * millisecond) == [4: nil, 2: .overloaded, 3: .overloaded])
        // The queue was empty, so the queue is not overloaded.
        arrive(&machine, 5, at: 111 * millisecond)
        arrive(&machine, 6, at: 111 * millisecond)
        #expect(next(&machine, at: 150 * millisecond) == [5: nil])
    }

    @Test("a low priority that waits behind higher priorities does not make these overloaded")
    func overloadOfOnePriority() {
        var machine = machine(1, order: .adaptiveLIFO())
        arrive(&machine, 0)
        arrive(&machine, 1, .low)
        arrive(&machine, 2, .high, at: second)
        arrive(&machine, 3, .high, at: second)
        // Longer than the target, but the queue of the priority has just begun.
        #expect(next(&machine, at: second + 50_000_000) == [2: nil])
    }

    @Test("under overload, a tenant with a single waiting call has its turn")
    func overloadOfOneTenant() {
        var machine = machine(1, order: .adaptiveLIFO())
        arrive(&machine, 0)
        for waiter in 1...3 { arrive(&machine, waiter, of: "many") }
        arrive(&machine, 4, of: "one")
        #expect(next(&machine, at: second) == [3: nil, 1: .overloaded, 2: .overloaded])
        #expect(next(&machine, at: second) == [4: nil])
    }

    @Test("a tenant whose calls have just begun to wait is not overloaded by the calls of another tenant")
    func overloadOfOtherTenant() {
        var machine = machine(1, maxWait: .seconds(60), order: .adaptiveLIFO())
        arrive(&machine, 0)
        for waiter in 1...3 { arrive(&machine, waiter, of: "many") }
        arrive(&machine, 4, of: "few", at: second)
        arrive(&machine, 5, of: "few", at: second)
        #expect(next(&machine, at: second + 50_000_000) == [3: nil, 1: .overloaded, 2: .overloaded])
        #expect((1...2).map { _ in next(&machine, at: second + 50_000_000) } == [[4: nil], [5: nil]])
    }

    @Test("under overload, no call is rejected while a call of a lower priority waits")
    func overloadWithLowerPriority() {
        var machine = machine(1, maxWait: .seconds(60), order: .adaptiveLIFO())
        arrive(&machine, 0)
        arrive(&machine, 1, .low)
        for waiter in 2...4 { arrive(&machine, waiter, .high) }
        #expect((1...4).map { next(&machine, at: Int64($0) * second) } == [[4: nil], [3: nil], [2: nil], [1: nil]])
    }

    @Test("a wait that began before a reload with a longer wait is not rejected for a deadline")
    func longerWait() {
        var machine = machine(1)
        arrive(&machine, 0)
        guard case .waits(let ticket, _) = arrive(&machine, 1).arrival else {
            Issue.record("the call did not wait")
            return
        }
        _ = machine.reload(.limit(1, maxWaiting: 10, maxWait: .seconds(60)))
        guard case .rejected(let error)? = machine.expire(ticket)?.verdict else {
            Issue.record("the call was not rejected")
            return
        }
        #expect(error.reason == .waitedTooLong)
    }

    @Test("a limit that falls while in use admits nobody until enough calls have ended")
    func smallerLimit() {
        var machine = machine(3)
        for waiter in 0..<4 { arrive(&machine, waiter) }
        let hasChanged = machine.reload(.limit(1, maxWaiting: 10))
        #expect(hasChanged)
        #expect(next(&machine).isEmpty)
        #expect(next(&machine).isEmpty)
        #expect(next(&machine) == [3: nil])
        #expect(machine.running == 1)
    }

    @Test("a limit that rises admits waiting calls")
    func largerLimit() {
        var machine = machine(1)
        for waiter in 0..<4 { arrive(&machine, waiter) }
        let hasChanged = machine.reload(.limit(3, maxWaiting: 10))
        #expect(hasChanged)
        let filled = fill(&machine)
        #expect(filled == [1: nil, 2: nil])
    }

    @Test("the time of a rejection is the time until the waiting calls have begun")
    func retryAfter() {
        var machine = machine(2, maxWaiting: 3)
        _ = machine.record(.success, duration: second, now: 0)
        for waiter in 0..<5 { arrive(&machine, waiter) }
        guard case .rejected(let error) = arrive(&machine, 5).arrival else {
            Issue.record("the call was not rejected")
            return
        }
        #expect(error.retryAfter == .seconds(2))
    }

    @Test("INV-12: at quiescence available == capacity, queue empty, for every interleaving", arguments: 0..<100)
    func quiescence(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let limit = Int.random(in: 1...4, using: &random)
        let order: BulkheadPolicy.Configuration.Order = Bool.random(using: &random) ? .adaptiveLIFO() : .firstInFirstOut
        var machine = machine(limit, maxWaiting: Int.random(in: 0...6, using: &random), order: order)
        var (running, now) = (0, Int64(0))
        var waiting: [Int: Machine.Ticket] = [:]
        func fill() {
            machine.fill(now: now) { resumption in
                // INV-13: a waiting call ends once.
                #expect(waiting.removeValue(forKey: resumption.waiter) != nil)
                if case .admitted = resumption.verdict { running += 1 }
            }
        }
        for waiter in 0..<1000 {
            now += Int64.random(in: 0..<20_000_000, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                let priority = CallPriority.allCases.randomElement(using: &random) ?? .normal
                let tenant = ["a", "b", nil].randomElement(using: &random) ?? nil
                let deadline = Bool.random(using: &random) ? Int64.max : now + 30_000_000
                let (arrival, displaced) = arrive(&machine, waiter, priority, of: tenant, deadline: deadline, at: now)
                if let displaced { #expect(waiting.removeValue(forKey: displaced.waiter) != nil) }
                switch arrival {
                case .admitted: running += 1
                case .waits(let ticket, _): waiting[waiter] = ticket
                case .rejected: break
                }
            case 4 where running > 0, 5 where running > 0:
                _ = machine.record(.success, duration: Int64.random(in: 0..<50_000_000, using: &random), now: now)
                machine.release()
                running -= 1
                fill()
            case 6:
                guard let (waiter, ticket) = waiting.min(by: { $0.key < $1.key }) else { break }
                if machine.expire(ticket) != nil { waiting[waiter] = nil }
            default:
                guard let (waiter, ticket) = waiting.max(by: { $0.key < $1.key }) else { break }
                let wasWaiting = machine.cancel(ticket)
                #expect(wasWaiting)
                waiting[waiter] = nil
            }
            #expect(machine.running == running)
            #expect(machine.waiting == waiting.count)
            #expect(running <= limit)
            // No place is free while a call waits.
            #expect(waiting.isEmpty || running == limit)
        }
        while running > 0 {
            machine.release()
            running -= 1
            fill()
        }
        #expect((machine.running, machine.waiting, waiting.count) == (0, 0, 0))
    }
}
