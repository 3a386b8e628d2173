import ReliabilityCore
import ReliabilityTesting
import Testing
import Timeout

/// A clock on which a millisecond passes at each look.
private struct TickingClock: Clock {
    let inner = ManualClock()
    var now: ManualClock.Instant {
        inner.advance(by: .milliseconds(1))
        return inner.now
    }
    var minimumResolution: Duration { inner.minimumResolution }
    func sleep(until deadline: ManualClock.Instant, tolerance: Duration?) async throws {
        try await inner.sleep(until: deadline, tolerance: tolerance)
    }
}

@Suite("OwnedDeadline")
struct OwnedDeadlineTests {
    let clock = ManualClock()

    private func hang() async throws { try await ManualClock().sleep(for: .seconds(1)) }

    @Test("it tells the time left")
    func remaining() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let left8 = deadline.remaining
            #expect(left8 == .seconds(5))
            clock.advance(by: .seconds(2))
            let left9 = deadline.remaining
            #expect(left9 == .seconds(3))
        }
    }

    @Test("a deadline that was moved to later does not cancel at its first instant, and does at its second")
    func later() async throws {
        let moved = Counter()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) { deadline in
                clock.advance(by: .seconds(4))
                let isMoved1 = deadline.move(to: .seconds(5))
                #expect(isMoved1)
                clock.advance(by: .seconds(4))
                #expect(!Task.isCancelled)
                moved.increment()
                try await hang()
            }
        }
        await clock.waitForSleepers(1)
        while moved.value == 0 { await Task.yield() }
        #expect(clock.timeToNextSleeper == .seconds(1))
        clock.advance(by: .seconds(1))
        await #expect(throws: TimeoutError.self) { try await task.value }
    }

    @Test("a deadline that was moved to earlier cancels there")
    func earlier() async {
        let error = await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(5), clock: clock) { deadline in
                let isMoved2 = deadline.move(to: .seconds(1))
                #expect(isMoved2)
                clock.advance(by: .seconds(1))
                try Task.checkCancellation()
            }
        }
        #expect(error?.underlyingError is CancellationError)
    }

    @Test("no time left cancels at once")
    func none() async throws {
        let saw = try await withTimeout(.seconds(5), clock: clock) { deadline in
            let isMoved3 = deadline.move(to: .zero)
            #expect(isMoved3)
            return Task.isCancelled
        }
        #expect(saw)
    }

    @Test("a deadline that has passed is not moved, and says so")
    func tooLate() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            clock.advance(by: .seconds(5))
            #expect(Task.isCancelled)
            let isMoved4 = deadline.move(to: .seconds(60))
            #expect(!isMoved4)
            let isMoved5 = deadline.shorten(to: .seconds(1))
            #expect(!isMoved5)
            let left10 = deadline.remaining
            #expect(left10 == .zero)
        }
    }

    @Test("shortening never makes it later")
    func shorten() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let isMoved6 = deadline.shorten(to: .seconds(9))
            #expect(isMoved6)
            let left11 = deadline.remaining
            #expect(left11 == .seconds(5))
            let isMoved7 = deadline.shorten(to: .seconds(2))
            #expect(isMoved7)
            let left12 = deadline.remaining
            #expect(left12 == .seconds(2))
        }
    }

    @Test("shortening to more than is left leaves the deadline where it is, although time passes meanwhile")
    func shortenInTime() async throws {
        try await withTimeout(.seconds(5), clock: TickingClock()) { deadline in
            let before = Deadline.current?.instant
            let isMoved = deadline.shorten(to: .seconds(9))
            #expect(isMoved)
            #expect(Deadline.current?.instant == before)
        }
    }

    @Test("whoever reads the ambient deadline sees where it is by then; what was computed before stays")
    func ambient() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let before = Deadline.current
            deadline.move(to: .seconds(20))
            #expect(before?.remaining == .seconds(5))
            #expect(Deadline.current?.remaining == .seconds(20))
            try await withTimeout(.seconds(30), clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(20))
                deadline.move(to: .seconds(60))
                #expect(Deadline.current?.remaining == .seconds(20))
            }
        }
    }

    @Test("it is never moved past an enclosing deadline, wherever that is by then")
    func enclosing() async throws {
        try await withTimeout(.seconds(10), clock: clock) { outer in
            try await withTimeout(.seconds(5), clock: clock) { inner in
                inner.move(to: .seconds(60))
                let left13 = inner.remaining
                #expect(left13 == .seconds(10))
                outer.move(to: .seconds(20))
                inner.move(to: .seconds(60))
                let left14 = inner.remaining
                #expect(left14 == .seconds(20))
            }
        }
    }

    @Test("an enclosing deadline on another clock bounds it too")
    func otherClock() async throws {
        try await withTimeout(.seconds(10), clock: ManualClock()) {
            try await withTimeout(.seconds(60), clock: clock) { deadline in
                let left15 = deadline.remaining
                #expect(left15 == .seconds(10))
                deadline.move(to: .seconds(60))
                let left16 = deadline.remaining
                #expect(left16 == .seconds(10))
            }
        }
    }

    @Test("an absurd limit is no limit until it is moved")
    func absurd() async {
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(Int64.max), clock: clock) { deadline in
                deadline.move(to: .seconds(1))
                clock.advance(by: .seconds(1))
                try Task.checkCancellation()
            }
        }
    }

    @Test("it works on the real clock")
    func realClock() async throws {
        try await withTimeout(.seconds(300)) { deadline in
            for _ in 0..<100 {
                deadline.move(to: .seconds(300))
                await Task.yield()
            }
            #expect(!Task.isCancelled)
        }
    }

    @Test("INV-33: a deadline that was moved leaves no timer behind")
    func timer() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            for _ in 0..<3 { deadline.move(to: .seconds(300)) }
            #expect(clock.sleeperCount == 1)
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("moves and the deadline race: a move that says yes is not followed by a cancellation at the old instant")
    func race() async {
        for _ in 0..<2_000 {
            let clock = ManualClock()
            let isOver = Counter()
            async let mover: Void = withTimeout(.seconds(1), clock: clock) { deadline in
                while isOver.value == 0 { await Task.yield() }
                let isMoved = deadline.move(to: .seconds(600))
                if isMoved { #expect(!Task.isCancelled) }
            }
            await clock.waitForSleepers(1)
            isOver.increment()
            clock.advance(by: .seconds(1))
            _ = try? await mover
        }
    }
}
