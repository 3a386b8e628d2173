#if LibPQ
import ReliabilityCore
import Testing

/// A trait that limits the number of tests that use a server at the same time.
///
/// Too many tests at the same time would take longer than the leases and the time limits of the tests.
struct ServerTurn: SuiteTrait, TestTrait, TestScoping {
    private static let turns = Turns(3)

    var isRecursive: Bool { true }

    @concurrent func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        await Self.turns.wait()
        defer { Self.turns.end() }
        try await function()
    }
}

extension Trait where Self == ServerTurn {
    static var serverTurn: Self { ServerTurn() }
}

/// The right of a limited number of tests to run at the same time.
final class Turns: Sendable {
    private let state: Lock<(free: Int, waiting: [CheckedContinuation<Void, Never>])>

    init(_ count: Int) { state = Lock((count, [])) }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free == 0 {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func end() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
#endif
