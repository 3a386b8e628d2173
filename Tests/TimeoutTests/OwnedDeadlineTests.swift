import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing
import Timeout

/// A clock that advances by a millisecond at each reading.
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

    @Test("the remaining time falls as the clock advances")
    func remaining() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let left = deadline.remaining
            #expect(left == .seconds(5))
            clock.advance(by: .seconds(2))
            let leftAfterwards = deadline.remaining
            #expect(leftAfterwards == .seconds(3))
        }
    }

    @Test("a deadline moved later cancels at its new instant and not at its old instant")
    func later() async throws {
        let moved = ConcurrencyCounter()
        let task = Task {
            try await withTimeout(.seconds(5), clock: clock) { deadline in
                clock.advance(by: .seconds(4))
                let isMoved = deadline.reset(after: .seconds(5))
                #expect(isMoved)
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

    @Test("a deadline moved earlier cancels at its new instant")
    func earlier() async {
        let error = await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(5), clock: clock) { deadline in
                let isMoved = deadline.reset(after: .seconds(1))
                #expect(isMoved)
                clock.advance(by: .seconds(1))
                try Task.checkCancellation()
            }
        }
        #expect(error?.underlyingError is CancellationError)
    }

    @Test("a limit that leaves no time cancels immediately")
    func none() async throws {
        let saw = try await withTimeout(.seconds(5), clock: clock) { deadline in
            let isMoved = deadline.reset(after: .zero)
            #expect(isMoved)
            return Task.isCancelled
        }
        #expect(saw)
    }

    @Test("a deadline that has passed cannot be moved")
    func tooLate() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            clock.advance(by: .seconds(5))
            #expect(Task.isCancelled)
            let isMoved = deadline.reset(after: .seconds(60))
            #expect(!isMoved)
            let isShortened = deadline.shorten(toAtMost: .seconds(1))
            #expect(!isShortened)
            let left = deadline.remaining
            #expect(left == .zero)
        }
    }

    @Test("shortening never moves the deadline later")
    func shorten() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let isUnchanged = deadline.shorten(toAtMost: .seconds(9))
            #expect(isUnchanged)
            let left = deadline.remaining
            #expect(left == .seconds(5))
            let isShortened = deadline.shorten(toAtMost: .seconds(2))
            #expect(isShortened)
            let leftAfterwards = deadline.remaining
            #expect(leftAfterwards == .seconds(2))
        }
    }

    @Test("shortening to more than the remaining time does not move the deadline")
    func shortenInTime() async throws {
        try await withTimeout(.seconds(5), clock: TickingClock()) { deadline in
            let before = Deadline.current?.instant
            let isMoved = deadline.shorten(toAtMost: .seconds(9))
            #expect(isMoved)
            #expect(Deadline.current?.instant == before)
        }
    }

    @Test("`Deadline.current` returns the moved deadline, and earlier values stay the same")
    func ambient() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            let before = Deadline.current
            deadline.reset(after: .seconds(20))
            #expect(before?.remaining == .seconds(5))
            #expect(Deadline.current?.remaining == .seconds(20))
            try await withTimeout(.seconds(30), clock: clock) {
                #expect(Deadline.current?.remaining == .seconds(20))
                deadline.reset(after: .seconds(60))
                #expect(Deadline.current?.remaining == .seconds(20))
            }
        }
    }

    @Test("a deadline never moves past an enclosing deadline, even if the enclosing deadline moves")
    func enclosing() async throws {
        try await withTimeout(.seconds(10), clock: clock) { outer in
            try await withTimeout(.seconds(5), clock: clock) { inner in
                inner.reset(after: .seconds(60))
                let left = inner.remaining
                #expect(left == .seconds(10))
                outer.reset(after: .seconds(20))
                inner.reset(after: .seconds(60))
                let leftAfterwards = inner.remaining
                #expect(leftAfterwards == .seconds(20))
            }
        }
    }

    @Test("an enclosing deadline on another clock bounds the deadline")
    func otherClock() async throws {
        try await withTimeout(.seconds(10), clock: ManualClock()) {
            try await withTimeout(.seconds(60), clock: clock) { deadline in
                let left = deadline.remaining
                #expect(left == .seconds(10))
                deadline.reset(after: .seconds(60))
                let leftAfterwards = deadline.remaining
                #expect(leftAfterwards == .seconds(10))
            }
        }
    }

    @Test("an extreme limit is no limit until the deadline is moved")
    func extreme() async {
        await #expect(throws: TimeoutError.self) {
            try await withTimeout(.seconds(Int64.max), clock: clock) { deadline in
                deadline.reset(after: .seconds(1))
                clock.advance(by: .seconds(1))
                try Task.checkCancellation()
            }
        }
    }

    @Test("a deadline on the real clock can be moved a hundred times")
    func realClock() async throws {
        try await withTimeout(.seconds(100_000)) { deadline in
            for _ in 0..<100 {
                deadline.reset(after: .seconds(100_000))
                await Task.yield()
            }
            #expect(!Task.isCancelled)
        }
    }

    @Test("a moved deadline leaves no timer")
    func timer() async throws {
        try await withTimeout(.seconds(5), clock: clock) { deadline in
            for _ in 0..<3 { deadline.reset(after: .seconds(300)) }
            #expect(clock.sleeperCount == 1)
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("a move that returns `true` is not followed by a cancellation at the old instant")
    func race() async {
        for _ in 0..<2_000 {
            let clock = ManualClock()
            let isOver = ConcurrencyCounter()
            async let mover: Void = withTimeout(.seconds(1), clock: clock) { deadline in
                while isOver.value == 0 { await Task.yield() }
                let isMoved = deadline.reset(after: .seconds(600))
                if isMoved { #expect(!Task.isCancelled) }
            }
            await clock.waitForSleepers(1)
            isOver.increment()
            clock.advance(by: .seconds(1))
            _ = try? await mover
        }
    }
}
