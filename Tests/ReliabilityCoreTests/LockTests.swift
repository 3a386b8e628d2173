import ReliabilityTesting
import Testing

@testable import ReliabilityCore

@Suite("Lock")
struct LockTests {
    @Test("a thousand concurrent changes under a lock lose no change")
    func exclusive() async {
        let lock = CountUnderLock()
        await withTaskGroup { group in
            for _ in 0..<1000 { group.addTask { lock.add() } }
        }
        #expect(lock.count.withLock { $0 } == 1000)
    }

    private final class CountUnderLock: Sendable {
        let count = Lock(0)
        func add() { count.withLock { $0 += 1 } }
    }

    @Test("an error under a lock releases the lock")
    func throwing() {
        let lock = Lock(1)
        #expect(throws: CancellationError.self) { try lock.withLock { _ in throw CancellationError() } }
        #expect(lock.withLock { $0 } == 1)
    }
}
