internal import ReliabilityCore
internal import ReliabilityStore

extension CompositeKey {
    /// Returns the key of the claim in a store: a digest that contains no data of a customer.
    func storeKey(in keyspace: Keyspace, _ operation: DedupOperation) -> StoreKey {
        let parts = [Array(operation.description.utf8)] + components
        return StoreKey(keyspace, bytes: [SHA256.digest(StoreKey(keyspace, bytes: parts).encoded)])
    }
}
