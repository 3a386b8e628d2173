package import ReliabilityStore

/// A call to a store as data, which a simulated workload consists of.
package enum WorkloadOperation: Hashable, Sendable {
    case get([StoreKey])
    case scan(prefix: StoreKey, after: StoreKey?, limit: Int)
    case commit([StoreWrite], [NewRecord])
    case update([KeyedUpdate])
    case enqueue([NewRecord])
    case claim(QueueName, limit: Int, lease: Duration)
    case settle([Settlement])
    case nextDue(QueueName)
    case counts(QueueName)
    case page(QueueName, RecordState, after: String?, limit: Int)

    package struct KeyedUpdate: Hashable, Sendable {
        package var key: StoreKey
        package var update: AtomicUpdate
        package init(_ key: StoreKey, _ update: AtomicUpdate) {
            self.key = key
            self.update = update
        }
    }
}

/// An answer of a store as data.
package enum StoreAnswer: Hashable, Sendable {
    case entries([StoreEntry?])
    case scanned([ScannedEntry], next: StoreKey?)
    case commit(RecordCommitResult)
    case update(UpdateResult)
    case enqueued([EnqueueResult])
    case claimed([RecordClaim])
    case settled([SettleResult])
    case nextDue(Duration?)
    case counts(RecordCounts)
    case page(RecordPage)
    case rejected(StoreError.Reason)

    /// A Boolean value that indicates whether the answer reports that nothing changed.
    var showsNoChange: Bool {
        switch self {
        case .entries, .scanned, .nextDue, .counts, .page, .commit(.conflict), .commit(.taken), .rejected: true
        case .claimed(let claims): claims.isEmpty
        case .enqueued(let results): !results.contains(.enqueued)
        case .settled(let results): results.allSatisfy { $0 == .stale }
        // A denied update may correct the entry.
        case .commit(.committed), .update: false
        }
    }

    package struct ScannedEntry: Hashable, Sendable {
        package var key: StoreKey
        package var entry: StoreEntry
        package init(_ key: StoreKey, _ entry: StoreEntry) {
            self.key = key
            self.entry = entry
        }
    }
}
