package import ReliabilityFileStore
internal import ReliabilityStore

/// Submits an operation to a state machine.
///
/// - Parameters:
///   - operation: The operation.
///   - stateMachine: The state machine.
///   - now: The store's clock, in nanoseconds since 1970.
///   - isDiskFull: A Boolean value that indicates whether the log could not be extended.
/// - Returns: The response. A rejection is an answer without a wait.
package func submit(
    _ operation: WorkloadOperation,
    to stateMachine: inout LogStateMachine,
    now: Int64,
    isDiskFull: Bool = false
) -> Submission<StoreAnswer> {
    func run<Result>(
        _ request: LogRequest<Result>,
        _ answer: (Result) -> StoreAnswer
    ) throws(StoreError) -> Submission<StoreAnswer> {
        switch try stateMachine.submit(request, now: now, isDiskFull: isDiskFull) {
        case .answer(let result, let batch, let isChange):
            return .answer(answer(result), durableWith: batch, isChange: isChange)
        case .batchIsFull: return .batchIsFull
        case .logIsFull: return .logIsFull
        }
    }
    do throws(StoreError) {
        switch operation {
        case .get(let keys):
            // The same as `FileStore.get(_:)` for one key.
            if keys.count == 1, let entry = stateMachine.durableEntry(keys[0], now: now) {
                return .answer(.entries([entry]), durableWith: 0, isChange: false)
            }
            return try run(.get(keys)) { .entries($0) }
        case .scan(let prefix, let after, let limit):
            return try run(.scan(prefix, after: after, limit: limit)) { page in
                .scanned(page.entries.map { .init($0.key, $0.entry) }, next: page.next)
            }
        case .commit(let writes, []) where writes.count == 1:
            return try run(.commit(writes[0])) { .commit(.init(CommitResult($0))) }
        case .commit(let writes, let records): return try run(.commit(writes, records)) { .commit($0) }
        case .update(let updates) where updates.count == 1:
            return try run(.update(updates[0].key, updates[0].update)) { .update(UpdateResult($0)) }
        case .update(let updates): return try run(.update(updates.map { ($0.key, $0.update) })) { .update($0) }
        case .enqueue(let records): return try run(.enqueue(records)) { .enqueued($0) }
        case .claim(let queue, let limit, let lease):
            return try run(.claim(queue, limit: limit, lease: lease)) { .claimed($0) }
        case .settle(let settlements): return try run(.settle(settlements)) { .settled($0) }
        case .nextDue(let queue): return try run(.nextDue(queue)) { .nextDue($0) }
        case .counts(let queue): return try run(.counts(queue)) { .counts($0) }
        case .page(let queue, let state, let after, let limit):
            return try run(.page(queue, state, after: after, limit: limit)) { .page($0) }
        }
    } catch {
        return .answer(.rejected(error.reason), durableWith: 0, isChange: false)
    }
}
