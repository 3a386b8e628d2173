import ReliabilityTesting
import Testing

@Suite("ConcurrencyCounter")
struct ConcurrencyCounterTests {
    @Test("concurrent updates are all counted, with their peak")
    func concurrent() async {
        let counter = ConcurrencyCounter()
        await withTaskGroup { group in
            for _ in 0..<100 {
                group.addTask {
                    counter.increment()
                    counter.decrement()
                }
            }
        }
        #expect(counter.value == 0)
        #expect((1...100).contains(counter.peak))
    }
}
