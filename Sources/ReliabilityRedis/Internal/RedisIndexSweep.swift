internal import ReliabilityCore
internal import ReliabilityStore

/// Removes the keys of entries that have expired from the index, page by page.
///
/// The server itself removes an expired entry but not the entry's key in the index. A sweep goes through the index again
/// and again. The sweep reads one page, and goes on while at least a quarter of a page was left over. The leftovers are
/// therefore about a third of the entries at most.
final class RedisIndexSweep: Sendable {
    private static let pageSize = 256
    private static let maxPages = 64

    private let names: RedisNames
    private let limit: Duration
    /// The member after which the next page begins, or `nil` at the beginning.
    private let cursor = Lock<[UInt8]?>(nil)
    private let isRunning = Lock(false)

    init(_ names: RedisNames, limit: Duration) {
        self.names = names
        self.limit = limit
    }

    /// Starts a sweep in a task of its own, unless a sweep is under way.
    ///
    /// A sweep of many pages takes longer than the time limit of a check.
    func start(_ transport: any RedisTransport) {
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
    /// Without an answer of the server, a later sweep goes on.
    func run(_ transport: any RedisTransport) async {
        for _ in 0..<Self.maxPages {
            guard let removed = try? await sweepPage(transport), removed >= Self.pageSize / 4 else { return }
        }
    }

    /// Returns the number of keys that were removed.
    private func sweepPage(_ transport: any RedisTransport) async throws -> Int64 {
        let start = cursor.withLock { $0 }.map { Array("(") + $0 } ?? Array("-")
        let range = [
            Array("ZRANGE"), names.index, start, Array("+"), Array("BYLEX"), Array("LIMIT"), Array("0"),
            Array(Self.pageSize),
        ]
        var reader = try ReplyReader(try await transport.send(range, keys: 1..<2, limit: limit))
        var members: [[UInt8]] = []
        while !reader.isAtEnd { members.append(try reader.bytes()) }
        if members.isEmpty {
            cursor.withLock { $0 = nil }
            return 0
        }
        let keys = [names.index] + members.map { names.entry(StoreKey(encoded: $0)) }
        let rest = [Array<UInt8>(keys.count)] + keys + members
        let positions = 3..<3 + keys.count
        let script = RedisScript.prune
        var reply = try await transport.send([Array("EVALSHA"), script.digest] + rest, keys: positions, limit: limit)
        if case .error(let text) = reply, text.hasPrefix("NOSCRIPT") {
            reply = try await transport.send([Array("EVAL"), script.source] + rest, keys: positions, limit: limit)
        }
        guard case .integer(let removed) = reply else { return 0 }
        let last = members.count < Self.pageSize ? nil : members.last
        cursor.withLock { $0 = last }
        return removed
    }
}
