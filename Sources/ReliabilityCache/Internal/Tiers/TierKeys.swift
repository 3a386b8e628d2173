internal import ReliabilityCore
internal import ReliabilityStore

/// The keys of a cache's entries in the store.
///
/// The keys contain digests, so a key or a tag of any length has an entry.
struct TierKeys: Sendable {
    /// The entries of a key of the cache.
    struct Place: Hashable, Sendable {
        /// The entry of the value.
        let value: StoreKey
        /// The entry of the lease.
        let lease: StoreKey
        /// The bytes of the key, which the value repeats.
        let bytes: [UInt8]
    }

    let keyspace: Keyspace

    /// The entry whose version is the place of the last invalidation of all values.
    var generation: StoreKey { StoreKey(keyspace, bytes: [[0x67]]) }

    /// Returns the entry whose version is the place of the last invalidation of a tag.
    func tag(_ name: String) -> StoreKey { StoreKey(keyspace, bytes: [[0x74], SHA256.digest(Array(name.utf8))]) }

    /// Returns the entries of a key.
    func place(_ key: CompositeKey) -> Place {
        var bytes: [UInt8] = []
        for component in key.components { bytes.append(counted: component) }
        let digest = SHA256.digest(bytes)
        return Place(
            value: StoreKey(keyspace, bytes: [[0x76], digest]),
            lease: StoreKey(keyspace, bytes: [[0x6C], digest]),
            bytes: bytes
        )
    }
}

/// The target of an invalidation in the store.
enum InvalidationTarget: Hashable, Sendable {
    case key(TierKeys.Place)
    /// The entry of a tag.
    case tag(StoreKey)
    /// The entry of the generation.
    case all(StoreKey)

    /// The number of writes.
    var writeCount: Int { if case .key = self { 2 } else { 1 } }

    /// Returns the writes that invalidate the target.
    ///
    /// The last write has the version of the mark.
    ///
    /// - Parameters:
    ///   - lease: The life of the record of a key.
    ///   - tagLife: The life of the record of a tag and of the generation.
    /// - Returns: The writes.
    func writes(lease: Duration, tagLife: Duration) -> [StoreWrite] {
        switch self {
        case .key(let place):
            [
                .delete(place.value, if: .any),
                .put(place.lease, LeaseRecord.invalidated.bytes, .after(lease), if: .any),
            ]
        case .tag(let key), .all(let key): [.put(key, [], .after(tagLife), if: .any)]
        }
    }
}
