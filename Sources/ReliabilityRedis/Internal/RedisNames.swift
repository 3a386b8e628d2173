internal import ReliabilityStore

/// The keys of a store on the server.
struct RedisNames: Sendable {
    private let prefix: [UInt8]
    /// The first bytes of the keys of entries.
    private let entryPrefix: [UInt8]
    private let keyspacesWithoutIndex: [StoreKey]
    /// The key of the last version.
    let version: [UInt8]
    /// The key of the set with the keys of all entries in their order.
    let index: [UInt8]
    /// The key of the time at which the content of the store began.
    let origin: [UInt8]
    /// The key that the check of rights writes and deletes.
    let probe: [UInt8]

    init(_ configuration: RedisStore.Configuration) {
        prefix = Array("{\(configuration.name)}:")
        entryPrefix = prefix + Array("e:")
        keyspacesWithoutIndex = configuration.keyspacesWithoutScan.map { StoreKey($0) }
        version = prefix + Array("v")
        index = prefix + Array("i")
        origin = prefix + Array("o")
        probe = prefix + Array("probe")
    }

    func entry(_ key: StoreKey) -> [UInt8] {
        var name: [UInt8] = []
        name.reserveCapacity(entryPrefix.count + key.byteCount)
        name += entryPrefix
        key.append(to: &name)
        return name
    }

    /// Returns the member of the index for a key, or no bytes if the keyspace has no index.
    func member(of key: StoreKey) -> [UInt8] { hasIndex(key) ? key.encoded : [] }

    func hasIndex(_ key: StoreKey) -> Bool { !keyspacesWithoutIndex.contains { key.hasPrefix($0) } }

    private func queue(_ kind: String, _ name: QueueName) -> [UInt8] { prefix + Array(kind) + Array(name.description) }

    func dueTimes(_ name: QueueName) -> [UInt8] { queue("d:", name) }
    func states(_ name: QueueName) -> [UInt8] { queue("m:", name) }
    func payloads(_ name: QueueName) -> [UInt8] { queue("b:", name) }
    func pending(_ name: QueueName) -> [UInt8] { queue("p:", name) }
    func deadLetters(_ name: QueueName) -> [UInt8] { queue("x:", name) }

    private func all(_ name: QueueName) -> [[UInt8]] {
        [dueTimes(name), states(name), payloads(name), pending(name), deadLetters(name)]
    }

    /// Returns the keys of all queues of a call, and the number of the queue of each element.
    func queues(_ names: [QueueName]) -> (keys: [[UInt8]], numbers: [Int]) {
        var numbers: [QueueName: Int] = [:]
        var keys: [[UInt8]] = []
        let positions = names.map { name in
            if let number = numbers[name] { return number }
            numbers[name] = numbers.count
            keys += all(name)
            return numbers.count - 1
        }
        return (keys, positions)
    }

    /// Returns the keys and the arguments of records.
    func arguments(of records: [NewRecord]) -> (keys: [[UInt8]], arguments: [[UInt8]]) {
        let (keys, numbers) = queues(records.map(\.queue))
        let arguments = zip(records, numbers).flatMap { record, number in
            [Array(number), Array(record.id), record.payload, Array(record.delay.microsecondsUp)]
        }
        return (keys, arguments)
    }
}
