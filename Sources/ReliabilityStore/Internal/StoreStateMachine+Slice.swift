/// Parts of the content in its order.
extension StoreStateMachine {
    /// Returns entries and records as mutations that rebuild the entries and records.
    ///
    /// Expired entries are left out and count as visited. The result may therefore have fewer than `limit` mutations
    /// before the end of the range.
    ///
    /// - Parameters:
    ///   - start: The first place of the range.
    ///   - end: The place after the range, or `nil` for a range without an end.
    ///   - limit: The largest number of mutations, at least 1.
    ///   - maxBytes: The number of counted bytes after which the result ends.
    /// - Returns: The mutations in content order, and the place at which to continue or `nil` if the range is finished.
    package func slice(
        from start: ContentKey,
        to end: ContentKey?,
        limit: Int,
        maxBytes: Int
    ) -> (mutations: [StoreMutation], next: ContentKey?) {
        slice(from: start, to: end, limit: limit, maxBytes: maxBytes, includingExpired: false)
    }

    /// Returns the mutations that rebuild all live entries and all records, for a checkpoint.
    package func snapshot() -> [StoreMutation] { snapshot(includingExpired: false) }

    func snapshot(includingExpired: Bool) -> [StoreMutation] {
        slice(from: .start, to: nil, limit: .max, maxBytes: .max, includingExpired: includingExpired).mutations
    }

    private func slice(
        from start: ContentKey,
        to end: ContentKey?,
        limit: Int,
        maxBytes: Int,
        includingExpired: Bool
    ) -> (mutations: [StoreMutation], next: ContentKey?) {
        var mutations: [StoreMutation] = []
        var visited = 0
        var bytes = 0
        var next: ContentKey?
        // Returns `true` if the slice contains the place.
        func visit(_ place: @autoclosure () -> ContentKey, _ size: Int) -> Bool {
            if let end, place() >= end { return false }
            if visited >= max(1, limit) || bytes >= max(1, maxBytes) {
                next = place()
                return false
            }
            visited += 1
            bytes += size
            return true
        }
        let part = start.bytes.first ?? 0
        if part == 0 {
            var isFinished = true
            Array(start.bytes.dropFirst()).withKeyBytes { key in
                var cursor = content.entries.cursor(from: key)
                while let item = cursor.item {
                    guard visit(.entry(item.key), item.entryDelta.bytes) else {
                        isFinished = false
                        return
                    }
                    if includingExpired || !item.isExpired(at: now) {
                        mutations.append(.put(StoreKey(item.key), StoredEntry(item)))
                    }
                    content.entries.advance(&cursor)
                }
            }
            if !isFinished { return (mutations, next) }
        }
        let firstRecord = part == 1 ? Array(start.bytes.dropFirst()) : []
        if part > 1 { return (mutations, nil) }
        firstRecord.withKeyBytes { key in
            content.records.forEach(from: key) { record in
                guard visit(.record(record.item.key), record.byteCount) else { return false }
                mutations.append(.putRecord(record.stored))
                return true
            }
        }
        return (mutations, next)
    }
}

extension StoredEntry {
    init(_ item: Item) { self.init(value: item.value, version: item.version, expiresAt: item.expiresAt) }
}
