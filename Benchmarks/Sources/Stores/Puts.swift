import Reliability

private let keys = 100_000
private let interval = Duration.seconds(1)
// A limit that allows every call, and whose entries do not expire during the measurement.
private let burst = 1_000_000

/// Conditional puts and limiter updates in a store in memory and in a dictionary, from a number of threads.
@Sendable func measurePuts(_: String, _ threads: Int) async throws -> Stores.Figures {
    let store = InMemoryStore.roomy()
    let hand = HandStore()
    let names = (0..<keys).map(Content.key)
    let limits = (0..<keys).map { StoreKey("l", bytes: [Content.bytes($0)]) }
    let texts = (0..<keys).map(Content.text)
    let update = AtomicUpdate.gcra(interval: interval, burst: burst, cost: 1)
    return try await rates([
        calls("put.memory", threads) { key, version in
            let condition = version.map { WriteCondition.version(StoreVersion(rawValue: $0)) } ?? .absent
            let result = try await store.commit(.put(names[key], Content.value, .never, if: condition))
            guard case .committed(let next) = result else { return false }
            version = next?.rawValue
            return true
        },
        calls("put.hand", threads) { key, version in
            guard let next = hand.put(texts[key], Content.value, ifVersion: version) else { return false }
            version = next
            return true
        },
        calls("limit.memory", threads) { key, _ in try await store.update(limits[key], update).isAllowed },
        calls("limit.hand", threads) { key, _ in
            hand.allow(texts[key], interval: Int64(interval.inNanoseconds), burst: Int64(burst))
        },
    ])
}

/// Calls from tasks, each of which calls with random keys of a separate part of the keys.
///
/// A call returns `false` if the store has rejected the call. The version is the last version of the key.
private func calls(
    _ name: String,
    _ threads: Int,
    _ call: @escaping @Sendable (_ key: Int, _ version: inout UInt64?) async throws -> Bool
) -> Contender {
    let share = keys / threads
    let callers = (0..<threads).map { Caller(seed: $0, keys: share) }
    return Contender(name) { end in
        let count = Counter()
        _ = try await time(tasks: threads) { thread in
            let caller = callers[thread]
            repeat {
                // The clock is read once for many calls, because a reading takes as long as a tenth of a call.
                for _ in 0..<100 {
                    let key = Int.random(in: 0..<share, using: &caller.generator)
                    let isDone = try await call(thread * share + key, &caller.versions[key])
                    precondition(isDone, "a call was rejected")
                }
                count.add(100)
            } while ContinuousClock.now < end
        }
        return count.count
    }
}

/// The state of a task that calls: random numbers and the last versions of the task's keys.
///
/// A single task uses a caller at any time.
private final class Caller: @unchecked Sendable {
    var generator: SeededGenerator
    var versions: [UInt64?]

    init(seed: Int, keys: Int) {
        generator = SeededGenerator(seed: seed)
        versions = [UInt64?](repeating: nil, count: keys)
    }
}
