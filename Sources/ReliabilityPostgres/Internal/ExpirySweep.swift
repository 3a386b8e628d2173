internal import ReliabilityCore
internal import ReliabilityStore

/// Removes entries that have expired, in small batches, to free their space.
///
/// An expired entry is absent for every operation, with or without the removal. A sweep goes through the table again and
/// again. The sweep reads a page, and goes on while at least a quarter of a page has expired.
final class ExpirySweep: Sendable {
    /// The number of keys of a page.
    static let pageLength = 1000
    /// The number of keys that a statement removes.
    static let batchLength = 100
    /// The largest number of pages of a sweep.
    ///
    /// The keys of each page are locked for a few milliseconds.
    private static let maxPages = 10

    private let statements: Statements
    private let timeout: Duration
    /// The key after which the next page begins.
    private let cursor = Lock<[UInt8]>([])
    private let isRunning = Lock(false)

    init(_ statements: Statements, timeout: Duration) {
        self.statements = statements
        self.timeout = timeout
    }

    /// Starts a sweep in a task of its own, unless a sweep is under way.
    ///
    /// A sweep of many pages takes longer than the time limit of a check.
    func start(_ transport: any PostgresTransport) {
        let isFirst = isRunning.withLock { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        if !isFirst { return }
        _ = startTask {
            await self.run(transport)
            self.isRunning.withLock { $0 = false }
        }
    }

    /// Sweeps some pages.
    ///
    /// After a failure, a later sweep goes on.
    func run(_ transport: any PostgresTransport) async {
        let commands = PostgresCommands(.fixed(transport), timeout: timeout)
        for _ in 0..<Self.maxPages {
            guard let removed = try? await sweepPage(commands), removed >= Self.pageLength / 4 else { return }
        }
    }

    /// Returns the number of removed entries.
    private func sweepPage(_ commands: PostgresCommands) async throws(StoreError) -> Int {
        let start = cursor.withLock { $0 }
        let rows = try await commands.read(statements.expired, [.bytes(start), .int4(Int32(Self.pageLength))])
        var expired: [[UInt8]] = []
        var next: [UInt8] = []
        for row in rows {
            var row = RowReader(row)
            let key = try row.bytes()
            if try row.bool() { expired.append(key) }
            next = try row.integer(Int64.self) == Int64(Self.pageLength) ? key : []
        }
        var removed = 0
        for first in stride(from: 0, to: expired.count, by: Self.batchLength) {
            removed += try await remove(
                Array(expired[first..<min(first + Self.batchLength, expired.count)]),
                commands
            )
        }
        let end = next
        cursor.withLock { $0 = end }
        return removed
    }

    private func remove(_ keys: [[UInt8]], _ commands: PostgresCommands) async throws(StoreError) -> Int {
        let rows = try await commands.write(
            statements.sweep,
            [.int4Array(KeyLocks.numbers(keys)), .bytesArray(keys)]
        )
        guard let first = rows.first else { throw .malformedReply }
        var row = RowReader(first)
        return Int(try row.integer(Int32.self))
    }
}
