import CallSimulation
import Testing

@Suite("Nestings")
struct NestingTests {
    @Test("a nesting's description is its source")
    func source() {
        let nesting = Nesting(calls: [Call([.timeout(.milliseconds(100))], [.send, .hang])])
        #expect(
            nesting.description == """
                Nesting(
                    seed: 1,
                    calls: [Call([.timeout(.milliseconds(100))], [.send, .hang])]
                )
                """
        )
    }
}
