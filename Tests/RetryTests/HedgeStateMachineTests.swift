import Testing

@testable import Retry

@Suite("HedgeStateMachine")
struct HedgeStateMachineTests {
    @Test("a call fails only when no attempt is running, in every order of failures and rejections")
    func exhaustive() {
        var visited: Set<HedgeStateMachine> = []
        func explore(_ state: HedgeStateMachine, maxHedges: Int) {
            #expect(state.running >= 1 && state.running <= state.started)
            #expect(state.started <= 1 + maxHedges)
            guard visited.insert(state).inserted else { return }
            for attempt in 1...state.started {
                var next = state
                let action = next.delayElapsed(after: attempt)
                #expect(next == state)
                #expect(action == (attempt == state.started && state.canStartHedge ? .hedge : .wait))
                if action == .hedge { exploreHedge(next, maxHedges: maxHedges) }
            }
            for isRetryable in [true, false] {
                var next = state
                switch next.attemptFailed(isRetryable: isRetryable) {
                case .wait:
                    #expect(next.running >= 1)
                    explore(next, maxHedges: maxHedges)
                case .fail:
                    #expect(next.running == 0)
                    #expect(!isRetryable || !state.isRetryable || state.started == 1 + maxHedges)
                case .hedge:
                    #expect(next.running == 0 && isRetryable && state.isRetryable)
                    exploreHedge(next, maxHedges: maxHedges)
                }
            }
        }
        func exploreHedge(_ state: HedgeStateMachine, maxHedges: Int) {
            var started = state
            started.hedgeStarted()
            explore(started, maxHedges: maxHedges)
            var rejected = state
            let action = rejected.hedgeRejected()
            #expect(action == (state.running == 0 ? .fail : .wait))
            if action == .wait { explore(rejected, maxHedges: maxHedges) }
        }
        for maxHedges in 1...4 { explore(HedgeStateMachine(maxHedges: maxHedges), maxHedges: maxHedges) }
        #expect(visited.count > 30)
    }
}
