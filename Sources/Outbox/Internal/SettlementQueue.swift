internal import ReliabilityCore
internal import ReliabilityStore

/// Stores the outcomes of deliveries with few calls to the store.
///
/// While a call is under way, further outcomes wait. The next call contains all of them, up to the limit of the store.
/// Every outcome is written until the store has answered or has failed for good.
final class SettlementQueue: Sendable {
    private struct State {
        var waiting: [PendingSettlement] = []
        /// A Boolean value that indicates whether a task writes the waiting settlements.
        var isWriting = false
        /// The wait after the last failed call, or zero after an answer of the store.
        var wait = Duration.zero
    }

    private static let maxWait = Duration.seconds(1)

    private let store: GuardedStore<any RecordStore>
    private let claims: ActiveClaims
    private let maxBatch: Int
    private let timeSource: TimeSource
    private let state = Lock(State())

    /// Creates an empty queue.
    ///
    /// - Parameters:
    ///   - store: The store.
    ///   - claims: The claims of this process.
    ///   - maxBatch: The largest number of settlements in a call.
    ///   - timeSource: The time source of the waits.
    init(_ store: GuardedStore<any RecordStore>, claims: ActiveClaims, maxBatch: Int, timeSource: TimeSource) {
        self.store = store
        self.claims = claims
        self.maxBatch = max(1, maxBatch)
        self.timeSource = timeSource
    }

    /// Adds a settlement, which is written until the store has answered or has failed for good.
    ///
    /// - Parameters:
    ///   - settlement: The settlement.
    ///   - maxWait: The longest wait of the delivery. The settlement continues afterwards.
    func add(_ settlement: PendingSettlement, maxWait: Duration) {
        timeSource.arm(settlement, at: timeSource.instant(after: maxWait))
        add([settlement])
    }

    private func add(_ settlements: [PendingSettlement]) {
        let mustStart = state.withLock { state in
            state.waiting += settlements
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if mustStart { startWriting() }
    }

    private func startWriting() {
        // The task does not start in place, so that the outcomes of ready tasks join the first call.
        Task(executorPreference: timeSource.taskExecutor) { @concurrent [self] in
            await withoutCallContext {
                while let batch = nextBatch() {
                    await write(batch)
                    // Only the store can have cancelled this task. A cancelled task cannot write.
                    if Task.isCancelled { return startWriting() }
                }
            }
        }
    }

    /// Removes and returns the next settlements, or ends the writing and returns `nil` if there are none.
    private func nextBatch() -> [PendingSettlement]? {
        state.withLock { state in
            if state.waiting.isEmpty {
                state.isWriting = false
                return nil
            }
            let batch = Array(state.waiting.prefix(maxBatch))
            state.waiting.removeFirst(batch.count)
            return batch
        }
    }

    private func write(_ batch: [PendingSettlement]) async {
        let settlements = batch.map(\.settlement)
        do throws(StoreError) {
            let results = try await store.write { store throws(StoreError) in try await store.settle(settlements) }
            state.withLock { $0.wait = .zero }
            end(batch, settlements, results)
        } catch {
            switch error.reason {
            case .invalid where batch.count > 1:
                // A settlement that the store rejects does not affect the others.
                for settlement in batch { await write([settlement]) }
                return
            case .unknownOutcome: for settlement in batch { settlement.recordUnknownOutcome() }
            default: break
            }
            if error.isPermanent {
                for settlement in batch { end(settlement, .failure(error)) }
            } else {
                let wait = state.withLock { state in
                    state.wait = min(max(state.wait * 2, SettlementWriter.minWait), Self.maxWait)
                    return state.wait
                }
                add(batch, after: wait)
            }
        }
    }

    private func end(_ batch: [PendingSettlement], _ settlements: [Settlement], _ results: [SettleResult]) {
        var renewed: [PendingSettlement] = []
        var uncertain: [PendingSettlement] = []
        // Read before the tokens: a request that has ended has passed on its tokens.
        let isRequesting = claims.isRequesting
        for (index, settlement) in batch.enumerated() {
            let result = index < results.count ? results[index] : .stale
            if result == .settled {
                end(settlement, .success(true))
            } else if settlement.token != settlements[index].token {
                renewed.append(settlement)
            } else if isRequesting {
                // A relay of this process may be claiming the message again.
                uncertain.append(settlement)
            } else {
                end(settlement, .success(settlement.mayHaveHappened))
            }
        }
        if !renewed.isEmpty { add(renewed) }
        if !uncertain.isEmpty { add(uncertain, after: SettlementWriter.minWait) }
    }

    private func end(_ settlement: PendingSettlement, _ result: Result<Bool, StoreError>) {
        timeSource.cancel(settlement)
        settlement.end(result)
    }

    /// Adds settlements after a wait.
    private func add(_ settlements: [PendingSettlement], after wait: Duration) {
        _ = startTask(on: timeSource.taskExecutor) { [self] in
            try? await timeSource.sleep(for: wait)
            add(settlements)
        }
    }
}
