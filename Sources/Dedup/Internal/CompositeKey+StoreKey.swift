internal import ReliabilityCore
internal import ReliabilityStore

extension CompositeKey {
    /// Returns the key of the claim in a store: a digest that contains no data of a customer.
    func storeKey(in keyspace: Keyspace, _ operation: DedupOperation) -> StoreKey {
        // The bytes of a store key with the operation and the components, without the arrays of its parts.
        let (name, operation) = (keyspace.description.utf8, operation.description.utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(components.reduce(4 + name.count + operation.count) { $0 + 4 + $1.count })
        encoded.append(UInt8(name.count))
        encoded.append(contentsOf: name)
        encoded.append(counted: operation)
        for component in components { encoded.append(counted: component) }
        let digest = SHA256.digest(encoded)
        encoded.removeLast(encoded.count - 1 - name.count)
        encoded.append(counted: digest)
        return StoreKey(encoded: encoded)
    }
}
