internal import ReliabilityCore
internal import ReliabilityStore

/// The records of a queue, as simply as possible: a list, searched from its beginning.
private struct ModelRecords {
    struct Record: Equatable {
        var id: String
        var attempts = 0
        var payload: [UInt8]
        var due: Duration
        /// Whether it was claimed and not settled since.
        var isLeased = false
        var deadReason: String?
        /// Nil until the store has told it.
        var version: StoreVersion?
    }

    var now = Duration.zero
    var all: [Record] = []

    func position(_ id: String) -> Int? { all.firstIndex { $0.id == id } }
    /// What becomes of a record that is enqueued.
    func result(_ new: NewRecord) -> EnqueueResult {
        guard let position = position(new.id) else { return .enqueued }
        if all[position].deadReason != nil { return .taken(by: .dead) }
        return all[position].payload == new.payload ? .duplicate : .taken(by: .pending)
    }

    var due: [Record] { all.filter { $0.deadReason == nil && $0.due <= now } }

    /// Whether the settlement was accepted.
    mutating func settle(_ settlement: Settlement) -> Bool {
        guard let position = position(settlement.id), all[position].version == settlement.token else { return false }
        var record = all.remove(at: position)
        let isDead = record.deadReason != nil
        switch settlement.action {
        case .done: return true
        case .retry(let wait, let countsAttempt) where !isDead:
            record.attempts = countsAttempt ? record.attempts : max(0, record.attempts - 1)
            record.due = now + wait
            record.isLeased = false
            record.version = nil
        case .extend(let lease) where !isDead: record.due = now + lease
        case .holdBack(let wait) where !isDead:
            record.attempts = max(0, record.attempts - 1)
            record.due = now + wait
            record.isLeased = true
            record.version = nil
        case .dead(let reason) where !isDead:
            record.deadReason = reason
            record.due = now
            record.isLeased = false
            record.version = nil
        case .redrive where isDead:
            record.deadReason = nil
            record.attempts = 0
            record.due = now
            record.version = nil
        default:
            all.insert(record, at: position)
            return false
        }
        all.insert(record, at: position)
        return true
    }
}

extension StoreConformance {
    static func recordHistory(_ run: ConformanceRun) async throws {
        let store = try run.recordStore()
        var latest = StoreVersion(rawValue: 0)
        try await run.withSeeds { seed, random in
            let queue = RecordQueue("history \(seed)")
            let ids = (0..<8).map { "\($0)" }
            var model = ModelRecords()
            var tokens: [(id: String, token: StoreVersion)] = []
            for step in 0..<300 {
                // In steps of 10 ms, with waits that end 5 ms beside them: see the history of entries.
                let wait = Duration.milliseconds(10 * Int.random(in: 1...20, using: &random) - 5)
                switch Int.random(in: 0..<10, using: &random) {
                case 0, 1:
                    let pause = Duration.milliseconds(10 * Int.random(in: 0...10, using: &random))
                    try await run.advance(pause)
                    model.now += pause
                case 2, 3:
                    let delay = Bool.random(using: &random) ? wait : .zero
                    let chosen = ids.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random))
                    var new = chosen.map { record($0, delay: delay, in: queue) }
                    for position in new.indices where Int.random(in: 0..<3, using: &random) == 0 {
                        new[position].payload = [0]
                    }
                    let isCommit = Bool.random(using: &random)
                    let expected = new.map(model.result)
                    let taken = expected.firstIndex { $0 != .enqueued && $0 != .duplicate }
                    if isCommit {
                        let result = try await store.commit([], enqueueing: new)
                        if let taken, case .taken(let state) = expected[taken] {
                            try run.expect(result, is: .taken(index: taken, by: state), "step \(step), a commit")
                            continue
                        }
                        try run.expect(result, is: .committed([], records: expected), "step \(step), a commit")
                    } else {
                        let results = try await store.enqueue(new)
                        try run.expect(results, is: expected, "step \(step), what became of records")
                    }
                    for record in new where model.position(record.id) == nil {
                        model.all.append(
                            ModelRecords.Record(id: record.id, payload: record.payload, due: model.now + delay)
                        )
                    }
                case 4, 5, 6:
                    let limit = Int.random(in: 1...4, using: &random)
                    let due = model.due
                    let claims = try await store.claim(queue, limit: limit, lease: wait)
                    try run.expect(claims.count, is: min(limit, due.count), "step \(step), the number of claims")
                    var dues: [Duration] = []
                    for claim in claims {
                        guard let position = model.position(claim.id), due.contains(model.all[position]) else {
                            throw run.violation("step \(step): record \(claim.id) was claimed and is not due")
                        }
                        dues.append(model.all[position].due)
                        try run.expect(claim.attempt, is: model.all[position].attempts + 1, "step \(step), an attempt")
                        try run.expect(
                            claim.wasAbandoned,
                            is: model.all[position].isLeased,
                            "step \(step), whether \(claim.id) was abandoned"
                        )
                        try run.expect(claim.token > latest, "step \(step), a token is no later than one before")
                        latest = claim.token
                        model.all[position].attempts += 1
                        model.all[position].due = model.now + wait
                        model.all[position].isLeased = true
                        model.all[position].version = claim.token
                        tokens.append((claim.id, claim.token))
                    }
                    try run.expect(
                        dues,
                        is: due.map(\.due).sorted().prefix(limit).map { $0 },
                        "step \(step), the order"
                    )
                case 7, 8:
                    guard let (id, token) = tokens.suffix(8).randomElement(using: &random) else { continue }
                    let actions: [Settlement.Action] = [
                        .done, .retry(after: wait, countsAttempt: true), .retry(after: .zero, countsAttempt: false),
                        .extend(wait), .holdBack(wait), .dead(reason: "step \(step)"), .redrive,
                    ]
                    let settlement = Settlement(
                        queue: queue,
                        id: id,
                        token: token,
                        actions.randomElement(using: &random) ?? .done
                    )
                    let isSettled = model.settle(settlement)
                    let results = try await store.settle([settlement])
                    try run.expect(results, is: [isSettled ? .settled : .stale], "step \(step), \(settlement.action)")
                default:
                    try await checkRecords(run, queue, &model, &tokens, "step \(step)")
                }
            }
        }
    }

    /// Compares all that can be read of a queue, and learns the versions of its records.
    private static func checkRecords(
        _ run: ConformanceRun,
        _ queue: RecordQueue,
        _ model: inout ModelRecords,
        _ tokens: inout [(id: String, token: StoreVersion)],
        _ step: String
    ) async throws {
        let store = try run.recordStore()
        let infos = try await all(run, in: queue)
        try run.expect(infos.map(\.id).sorted(), is: model.all.map(\.id).sorted(), "\(step), the records")
        for info in infos {
            guard let position = model.position(info.id) else { continue }
            let expected = model.all[position]
            try run.expect(info.attempts, is: expected.attempts, "\(step), the attempts of \(info.id)")
            try run.expect(info.deadReason, is: expected.deadReason, "\(step), why \(info.id) is dead")
            let isLeased = expected.isLeased && expected.due > model.now
            try run.expect(info.isLeased, is: isLeased, "\(step), whether \(info.id) is leased")
            if let version = expected.version {
                try run.expect(info.version, is: version, "\(step), the version of \(info.id)")
            } else {
                model.all[position].version = info.version
                tokens.append((info.id, info.version))
            }
        }
        let dead = model.all.filter { $0.deadReason != nil }.count
        let counts = try await store.counts(queue)
        try run.expect(counts, is: RecordCounts(pending: model.all.count - dead, dead: dead), "\(step), the counts")
        let first = model.all.filter { $0.deadReason == nil }.map(\.due).min()
        let due = try await store.nextDue(queue)
        if let first, first > model.now {
            let left = first - model.now
            let isRight = due.map { $0 >= left && $0 < left + .milliseconds(1) } ?? false
            try run.expect(isRight, "\(step): the next is due in \(due.map { "\($0)" } ?? "no time"), not \(left)")
        } else {
            try run.expect(due, is: first.map { _ in .zero }, "\(step), when the next is due")
        }
    }
}
