internal import ReliabilityCore
public import ReliabilityStore

extension PostgresStore {
    private static let sweepKey = StoreKey("reliability-maintenance", "removeExpired")
    private static let sweepLease = Duration.seconds(60)

    /// Removes the entries that have expired, to free their space.
    ///
    /// An expired entry is absent for every operation, with or without the removal. Call the method about once a minute.
    /// The method visits all keys in small batches with pauses between them. Only one client at a time removes entries,
    /// and the call of a second client returns `nil`.
    ///
    /// - Parameter pause: The pause after each batch of 1,000 keys. Defaults to 10 milliseconds.
    /// - Returns: The number of removed entries, or `nil` if another client removes entries.
    /// - Throws: `StoreError`. A cancelled task ends the removal as `cancelled`.
    @discardableResult
    public func removeExpired(pause: Duration = .milliseconds(10)) async throws(StoreError) -> Int? {
        let claim = StoreWrite.put(Self.sweepKey, [], .after(Self.sweepLease), if: .absent)
        guard case .committed(let version?) = try await commit(claim) else { return nil }
        let isMine = WriteCondition.version(version)
        var count = 0
        var cursor: [UInt8]? = []
        while let start = cursor {
            let (expired, next) = try await expiredKeys(after: start)
            for first in stride(from: 0, to: expired.count, by: capabilities.maxWrites) {
                count += try await remove(Array(expired[first..<min(first + capabilities.maxWrites, expired.count)]))
            }
            cursor = next
            guard next != nil else { break }
            guard (try? await TimeSource.continuous.sleep(for: pause)) != nil else {
                throw StoreError(.cancelled, "the task was cancelled during the removal of expired entries")
            }
            let renewal = StoreWrite.touch(Self.sweepKey, .after(Self.sweepLease), if: isMine)
            guard case .committed = try await commit(renewal) else { return count }
        }
        _ = try await commit(StoreWrite.delete(Self.sweepKey, if: isMine))
        return count
    }

    /// Reads the expired keys among the next 1,000 keys, and the last of these keys or `nil` at the end.
    private func expiredKeys(
        after start: [UInt8]
    ) async throws(StoreError) -> (expired: [[UInt8]], next: [UInt8]?) {
        let pageLength: Int32 = 1000
        let rows = try await commands.read(statements.expired, [.bytes(start), .int4(pageLength)])
        var expired: [[UInt8]] = []
        var next: [UInt8]?
        for row in rows {
            var row = RowReader(row)
            let key = try row.bytes()
            if try row.bool() { expired.append(key) }
            next = try row.integer(Int64.self) == Int64(pageLength) ? key : nil
        }
        return (expired, next)
    }

    private func remove(_ keys: [[UInt8]]) async throws(StoreError) -> Int {
        let rows = try await commands.write(
            statements.sweep,
            [.int4Array(KeyLocks.numbers(keys)), .bytesArray(keys)]
        )
        guard let first = rows.first else { throw .malformedReply }
        var row = RowReader(first)
        return Int(try row.integer(Int32.self))
    }
}
