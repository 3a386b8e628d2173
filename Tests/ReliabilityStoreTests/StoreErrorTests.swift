import ReliabilityCore
import Testing

@testable import ReliabilityStore

@Suite("StoreError")
struct StoreErrorTests {
    @Test("the message has no details, and the description has all of them")
    func texts() {
        let reasons: [StoreError.Reason] = [
            .unavailable, .unknownOutcome, .diskFull, .capacityExceeded, .invalid, .corruption(file: "f", offset: 3),
            .locked, .unsupportedFormat(9), .failed, .closed, .cancelled,
        ]
        let errors = reasons.map { StoreError($0, "secret path") }
        #expect(errors.allSatisfy { !$0.message.contains("secret") && $0.description.contains("secret path") })
        #expect(Set(errors.map(\.code)).count == reasons.count)
        #expect(errors.allSatisfy { $0.code.rawValue.hasPrefix("store.") && !$0.isRejection })
        #expect(StoreError(.cancelled, "").category == .cancelled)
        #expect(StoreError(.unavailable, "").category == .unavailable)
        #expect(StoreError(.corruption(file: "", offset: 0), "").category == .internal)
    }
}
