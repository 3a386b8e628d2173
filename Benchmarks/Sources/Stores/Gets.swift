import Reliability

/// The nanoseconds of a read of a random key in stores with a number of keys.
@Sendable func measureGets(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let file = try await FileStore.open(roomyAt: "\(directory)/store")
    let memory = InMemoryStore.roomy()
    let hand = HandStore()
    try await Content.fill(file, keys)
    try await Content.fill(memory, keys)
    for number in 0..<keys { _ = hand.put(Content.text(number), Content.value, ifVersion: nil) }
    let names = (0..<keys).map(Content.key)
    let texts = (0..<keys).map(Content.text)
    let figures = try await rates([
        gets("file", keys) { try await file.get(names[$0]) != nil },
        gets("memory", keys) { try await memory.get(names[$0]) != nil },
        gets("hand", keys) { hand.get(texts[$0]) != nil },
    ])
    await file.close()
    return figures.mapValues { 1e9 / $0 }
}

/// Reads of random keys, one after the other.
private func gets(_ name: String, _ keys: Int, _ get: @escaping @Sendable (Int) async throws -> Bool) -> Contender {
    let seeds = Counter()
    return Contender(name) { end in
        var generator = SeededGenerator(seed: seeds.next())
        var count = 0
        repeat {
            // The clock is read once for many calls, because a reading takes as long as a tenth of a call.
            for _ in 0..<100 {
                let isPresent = try await get(Int.random(in: 0..<keys, using: &generator))
                precondition(isPresent, "a key is absent")
            }
            count += 100
        } while ContinuousClock.now < end
        return count
    }
}
