internal import ReliabilityCore
public import ReliabilityStore

extension PostgresStore {
    /// Makes all updates in one step or none.
    public func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        if updates.count == 1 { return UpdateResult(try await update(updates[0].key, updates[0].update)) }
        try checkCancellation()
        try capabilities.checkUpdates(updates)
        if updates.isEmpty { return UpdateResult(isApplied: true, decisions: []) }
        let keys = updates.map(\.key.encoded)
        let arguments = updates.map(\.update.arguments)
        let rows = try await commands.write(
            statements.update,
            [
                .int4Array(KeyLocks.numbers(keys)), .bytesArray(keys), .int2Array(arguments.map(\.kind)),
                .int8Array(arguments.map(\.a)), .int8Array(arguments.map(\.b)), .int8Array(arguments.map(\.c)),
                .int8Array(arguments.map(\.life)),
            ]
        )
        guard rows.count == updates.count else { throw .malformedReply }
        var isApplied = true
        var decisions: [AtomicUpdate.Decision] = []
        for (row, (_, update)) in zip(rows, updates) {
            let (applied, decision) = try Self.decision(row, update)
            isApplied = applied
            decisions.append(decision)
        }
        guard decisions.allSatisfy(\.isAllowed) == isApplied else { throw .differentDecision }
        return UpdateResult(isApplied: isApplied, decisions: decisions)
    }

    /// Makes a single update.
    public func update(_ key: StoreKey, _ update: AtomicUpdate) async throws(StoreError) -> AtomicUpdate.Decision {
        try checkCancellation()
        try capabilities.check(key)
        let encoded = key.encoded
        let arguments = update.arguments
        let rows = try await commands.write(
            statements.updateOne,
            [
                .int4(KeyLocks.number(encoded)), .bytes(encoded), .int2(arguments.kind), .int8(arguments.a),
                .int8(arguments.b), .int8(arguments.c), .int8(arguments.life),
            ]
        )
        guard rows.count == 1 else { throw .malformedReply }
        let (isApplied, decision) = try Self.decision(rows[0], update)
        guard decision.isAllowed == isApplied else { throw .differentDecision }
        return decision
    }

    /// Computes the decision again from the state and the time that the server found.
    private static func decision(
        _ row: [[UInt8]?],
        _ update: AtomicUpdate
    ) throws(StoreError) -> (isApplied: Bool, decision: AtomicUpdate.Decision) {
        var row = RowReader(row)
        let isApplied = try row.bool()
        let now = try row.integer(Int64.self).saturatingMultiply(1000)
        return (isApplied, update.apply(to: try row.bytesOrNull(), now: now).decision)
    }
}

extension StoreError {
    fileprivate static var differentDecision: StoreError {
        StoreError(.failed, "the server and the library decided an update differently")
    }
}
