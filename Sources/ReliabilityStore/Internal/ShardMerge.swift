/// The items of several shards in the order of their keys.
///
/// All shards are locked while the merge is in use.
struct ShardMerge {
    private let shards: [EntryShard]
    /// The positions of the shards with further items.
    ///
    /// The position of the next item is last.
    private var heads: [(shard: Int, cursor: ItemTree.Cursor, item: Item)] = []

    init(_ shards: [EntryShard], from start: KeyBytes, afterEqual: Bool) {
        self.shards = shards
        for (number, shard) in shards.enumerated() {
            insert(number, shard.state.index.cursor(from: start, afterEqual: afterEqual))
        }
    }

    /// The next item, or `nil` at the end.
    var item: Item? { heads.last?.item }

    /// Moves to the next item.
    mutating func advance() {
        guard var head = heads.popLast() else { return }
        shards[head.shard].state.index.advance(&head.cursor)
        insert(head.shard, head.cursor)
    }

    private mutating func insert(_ shard: Int, _ cursor: ItemTree.Cursor) {
        guard let item = cursor.item else { return }
        var low = 0
        var high = heads.count
        while low < high {
            let middle = (low + high) / 2
            if item.key.compare(heads[middle].item.key) < 0 { low = middle + 1 } else { high = middle }
        }
        heads.insert((shard, cursor, item), at: low)
    }
}
