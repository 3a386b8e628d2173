import TestSupport
import Testing

@testable import Retry

@Suite("AttemptLog")
struct AttemptLogTests {
    @Test("the times of a log saturate")
    func saturates() {
        var log = AttemptLog()
        for _ in 0..<3 {
            log.append(TestError(), meaning: TestError(), wasPossiblySent: true, waited: .max, took: .max)
        }
        #expect(log.running == .max && log.waiting == .max && log.count == 3)
    }
}
