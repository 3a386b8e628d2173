import Reliability

/// What can go wrong with a call to somebody else's service.
enum Fault: String, CaseIterable {
    /// The call is rejected and nothing happens.
    case failsBefore = "fails_before"
    /// It happens, and the answer is lost.
    case failsAfter = "fails_after"
    /// It happens later, whether or not the caller still waits, and is answered then.
    case slow
    /// Nothing happens and nothing is answered, until the caller gives up.
    case hangs
}

/// A service failed, as services do.
struct ServiceFailure: Error {}

/// Somebody else's service: it remembers what it did in a ledger, and does nothing twice for one key.
///
/// The order desk and the service share a process here, but nothing else: the desk sees what its calls return. Desks in
/// several processes have the same service, because the ledger alone decides what was done.
actor Service {
    /// The longest time after which a slow call still acts.
    static let slowest = Duration.seconds(3)

    private let name: String
    private let path: String
    private let ledger: Ledger
    private let calls: LineWriter
    private let faults: Double
    private var randomness: Randomness
    /// What the ledger says, by the bytes of the key: strings of other bytes can be equal.
    private var done: [[UInt8]: Int64] = [:]

    /// Opens a service with its ledger.
    init(name: String, ledger path: String, calls: LineWriter, faults: Double, seed: UInt64) throws {
        self.name = name
        self.path = path
        self.calls = calls
        self.faults = faults
        randomness = Randomness(seed: seed)
        ledger = try Ledger(path: path)
        var entries: [[UInt8]: Int64] = [:]
        try ledger.exchange { lines in
            entries = try Self.entries(lines, of: path)
            return nil
        }
        done = entries
    }

    private static func entries(_ lines: [[UInt8]], of path: String) throws -> [[UInt8]: Int64] {
        var entries: [[UInt8]: Int64] = [:]
        for line in lines {
            guard let entry = try? LedgerEntry.parser.parse(line, as: LedgerEntry.init) else {
                // To skip it would be to forget a charge.
                let text = String(decoding: line.prefix(100), as: UTF8.self)
                throw FileError(description: "\(path): no entry of a ledger: \(json(text))")
            }
            let key = Array(entry.key.utf8)
            entries[key] = entries[key] ?? entry.amount
        }
        return entries
    }

    /// Reads what this process and others have done since the last time, and writes down a line that depends on it.
    private func exchange(_ decide: () -> String?) throws {
        try ledger.exchange { lines in
            done.merge(try Self.entries(lines, of: path)) { first, _ in first }
            return decide()
        }
    }

    /// Does what is asked, once for each key; a key seen before is answered from the ledger.
    ///
    /// - Returns: The amount that was booked for the key.
    func act(key: String, amount: Int64 = 0, fields: String) async throws -> Int64 {
        switch try await arrival("act") {
        case nil: return try book(key, amount, fields)
        case .failsBefore: throw ServiceFailure()
        case .failsAfter:
            _ = try book(key, amount, fields)
            throw ServiceFailure()
        case .slow:
            let delay = Duration.milliseconds(Int64.random(in: 200...3000, using: &randomness))
            // Not a child of the caller's task: it goes on when the caller has left.
            let booking = Task.detached {
                try? await Task.sleep(for: delay)
                return try await self.book(key, amount, fields)
            }
            try await Task.sleep(for: delay)
            return try await booking.value
        case .hangs:
            try await Task.sleep(for: .seconds(86_400))
            throw ServiceFailure()
        }
    }

    /// What was booked for a key; nil when nothing has been, so far.
    func find(key: String) async throws -> Int64? {
        switch try await arrival("find") {
        case nil: break
        case .failsBefore, .failsAfter: throw ServiceFailure()
        case .slow: try await Task.sleep(for: .milliseconds(Int64.random(in: 200...3000, using: &randomness)))
        case .hangs: try await Task.sleep(for: .seconds(86_400))
        }
        try exchange { nil }
        return done[Array(key.utf8)]
    }

    private func arrival(_ call: String) async throws -> Fault? {
        let fault = randomness.chance(faults) ? Fault.allCases.randomElement(using: &randomness) : nil
        try await calls.write(
            #"{"service":"\#(name)","call":"\#(call)","fault":\#(fault.map { json($0.rawValue) } ?? "null")}"#
        )
        return fault
    }

    private func book(_ key: String, _ amount: Int64, _ fields: String) throws -> Int64 {
        // In one exchange: two calls with one key cannot both be the first, and what is in the ledger happened.
        let key = Array(key.utf8)
        var before: Int64?
        try exchange {
            before = done[key]
            return #"{\#(fields),"repeat":\#(before != nil)}"#
        }
        return before ?? amount
    }
}
