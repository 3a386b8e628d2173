import Testing

@testable import Retry

@Suite("HedgeState")
struct HedgeStateTests {
    @Test("INV-26, INV-28: whatever fails or is refused in whatever order, it neither hangs nor ends too early")
    func exhaustive() {
        var visited: Set<HedgeState> = []
        func explore(_ state: HedgeState, maxHedges: Int) {
            #expect(state.running >= 1 && state.running <= state.started)
            #expect(state.started <= 1 + maxHedges)
            guard visited.insert(state).inserted else { return }
            for attempt in 1...state.started {
                var next = state
                let action = next.delayElapsed(after: attempt)
                #expect(next == state)
                #expect(action == (attempt == state.started && state.mayHedge ? .hedge : .wait))
                if action == .hedge { exploreHedge(next, maxHedges: maxHedges) }
            }
            for canBeMended in [true, false] {
                var next = state
                switch next.attemptFailed(canBeMended: canBeMended) {
                case .wait:
                    #expect(next.running >= 1)
                    explore(next, maxHedges: maxHedges)
                case .fail:
                    #expect(next.running == 0)
                    #expect(!canBeMended || !state.isHopeful || state.started == 1 + maxHedges)
                case .hedge:
                    #expect(next.running == 0 && canBeMended && state.isHopeful)
                    exploreHedge(next, maxHedges: maxHedges)
                }
            }
        }
        func exploreHedge(_ state: HedgeState, maxHedges: Int) {
            var started = state
            started.hedgeStarted()
            explore(started, maxHedges: maxHedges)
            var refused = state
            let action = refused.hedgeRefused()
            #expect(action == (state.running == 0 ? .fail : .wait))
            if action == .wait { explore(refused, maxHedges: maxHedges) }
        }
        for maxHedges in 1...4 { explore(HedgeState(maxHedges: maxHedges), maxHedges: maxHedges) }
        #expect(visited.count > 30)
    }
}
