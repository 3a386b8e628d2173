internal import ReliabilityCore
internal import ReliabilityStore

/// A minimal model of a queue's records: a list, searched from its beginning.
private struct ModelRecords {
    struct Record: Equatable {
        var id: String
        var attempts = 0
        var payload: [UInt8]
        var due: Duration
        /// A Boolean value that indicates whether the record was claimed and not settled since.
        var isLeased = false
        var deadLetterReason: String?
        /// The version, or `nil` until the store has reported the version.
        var version: StoreVersion?
    }

    var now = Duration.zero
    var all: [Record] = []

    func position(_ id: String) -> Int? { all.firstIndex { $0.id == id } }
    /// Returns the result of the enqueue of a record.
    func result(_ new: NewRecord) -> EnqueueResult {
        guard let position = position(new.id) else { return .enqueued }
        if all[position].deadLetterReason != nil { return .taken(by: .deadLetter) }
        return all[position].payload == new.payload ? .duplicate : .taken(by: .pending)
    }

    var due: [Record] { all.filter { $0.deadLetterReason == nil && $0.due <= now } }

    /// Settles a record, and returns `false` if the settlement is stale.
    mutating func settle(_ settlement: Settlement) -> Bool {
        guard let position = position(settlement.id), all[position].version == settlement.token else { return false }
        var record = all.remove(at: position)
        let isDead = record.deadLetterReason != nil
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
        case .deadLetter(let reason) where !isDead:
            record.deadLetterReason = reason
            record.due = now
            record.isLeased = false
            record.version = nil
        case .redrive where isDead:
            record.deadLetterReason = nil
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
            let queue = QueueName("history \(seed)")
            let ids = (0..<8).map { "\($0)" }
            var model = ModelRecords()
            var tokens: [(id: String, token: StoreVersion)] = []
            for step in 0..<300 {
                // Steps of 10 ms. Waits end 5 ms beside a step, see `entryHistory`.
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
                        try run.expect(results, is: expected, "step \(step), the results for records")
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
                            throw run.violation("step \(step): record \(claim.id) was claimed although it is not due")
                        }
                        dues.append(model.all[position].due)
                        try run.expect(claim.attempt, is: model.all[position].attempts + 1, "step \(step), an attempt")
                        try run.expect(
                            claim.wasAbandoned,
                            is: model.all[position].isLeased,
                            "step \(step), wasAbandoned of \(claim.id)"
                        )
                        try run.expect(claim.token > latest, "step \(step), a token is not later than the token before")
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
                        "step \(step), the order of claims"
                    )
                case 7, 8:
                    guard let (id, token) = tokens.suffix(8).randomElement(using: &random) else { continue }
                    let actions: [Settlement.Action] = [
                        .done, .retry(after: wait, countsAttempt: true), .retry(after: .zero, countsAttempt: false),
                        .extend(wait), .holdBack(wait), .deadLetter(reason: "step \(step)"), .redrive,
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

    /// Compares everything that can be read of a queue with the model, and stores the versions of records in the model.
    private static func checkRecords(
        _ run: ConformanceRun,
        _ queue: QueueName,
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
            try run.expect(
                info.deadLetterReason,
                is: expected.deadLetterReason,
                "\(step), the dead-letter reason of \(info.id)"
            )
            let isLeased = expected.isLeased && expected.due > model.now
            try run.expect(info.isLeased, is: isLeased, "\(step), isLeased of \(info.id)")
            if let version = expected.version {
                try run.expect(info.version, is: version, "\(step), the version of \(info.id)")
            } else {
                model.all[position].version = info.version
                tokens.append((info.id, info.version))
            }
        }
        let dead = model.all.filter { $0.deadLetterReason != nil }.count
        let counts = try await store.counts(queue)
        try run.expect(
            counts,
            is: RecordCounts(pending: model.all.count - dead, deadLetters: dead),
            "\(step), the counts"
        )
        let first = model.all.filter { $0.deadLetterReason == nil }.map(\.due).min()
        let due = try await store.nextDue(queue)
        if let first {
            // A store may round a due time up, and the due time of a record without a delay down.
            let left = first - model.now
            let least = left > .zero ? left : left - .milliseconds(1)
            let isRight = due.map { $0 >= least && $0 < left + .milliseconds(1) } ?? false
            try run.expect(
                isRight,
                "\(step): the next record is due in \(due.map { "\($0)" } ?? "no time"), not \(left)"
            )
        } else {
            try run.expect(due, is: nil, "\(step), the time until the next due record")
        }
    }
}
