import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("Deadline")
struct DeadlineTests {
    let clock = ManualClock()

    func deadline(_ source: TimeSource, in duration: Duration) -> Deadline {
        Deadline(instant: source.instant(after: duration), timeSource: source)
    }

    @Test("the remaining time falls to zero and stays there")
    func remaining() {
        let deadline = deadline(TimeSource(clock), in: .seconds(2))
        #expect(deadline.remaining == .seconds(2))
        clock.advance(by: .seconds(2) - .nanoseconds(1))
        #expect(deadline.remaining == .nanoseconds(1))
        #expect(!deadline.isExpired)
        clock.advance(by: .nanoseconds(1))
        #expect(deadline.remaining == .zero)
        #expect(deadline.isExpired)
        clock.advance(by: .seconds(9))
        #expect(deadline.remaining == .zero)
    }

    @Test("the earlier of nested deadlines applies, on one clock or on two clocks")
    func nesting() async {
        let source = TimeSource(clock)
        let other = TimeSource(ManualClock())
        #expect(NestedLimit(deadline(source, in: .seconds(5))).deadline.remaining == .seconds(5))
        await DeadlineScope.$innermost.withValue(DeadlineScope(deadline(source, in: .seconds(3)))) {
            #expect(Deadline.current?.remaining == .seconds(3))
            #expect(NestedLimit(deadline(source, in: .seconds(5))).deadline.remaining == .seconds(3))
            #expect(NestedLimit(deadline(source, in: .seconds(2))).deadline.remaining == .seconds(2))
            #expect(NestedLimit(deadline(other, in: .seconds(5))).deadline.remaining == .seconds(3))
            #expect(NestedLimit(deadline(other, in: .seconds(2))).deadline.remaining == .seconds(2))
            await DeadlineScope.$innermost.withValue(DeadlineScope(deadline(source, in: .seconds(1)))) {
                #expect(Deadline.current?.remaining == .seconds(1))
                #expect(await Task { Deadline.current?.remaining }.value == .seconds(1))
            }
            #expect(Deadline.current?.remaining == .seconds(3))
        }
        #expect(Deadline.current == nil)
    }

    @Test("an extreme deadline saturates")
    func saturates() {
        let deadline = deadline(TimeSource(clock), in: .seconds(Int64.max))
        #expect(deadline.remaining == .nanoseconds(Int64.max))
        #expect(!deadline.isExpired)
        let past = Deadline(instant: .min, timeSource: TimeSource(clock))
        #expect(past.remaining == .zero)
    }
}
