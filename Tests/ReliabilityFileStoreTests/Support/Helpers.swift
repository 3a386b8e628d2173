import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

/// A clock that moves when a test says so.
struct HandClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }
    private final class Storage: Sendable {
        let now = Lock(Instant(offset: .zero))
    }
    private let storage = Storage()

    var now: Instant { storage.now.withLock { $0 } }
    var minimumResolution: Duration { .nanoseconds(1) }
    func advance(by duration: Duration) { storage.now.withLock { $0 = $0.advanced(by: duration) } }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws { throw CancellationError() }
}

/// A generator whose numbers follow from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// A second in 2026, in nanoseconds since 1970.
let someday: Int64 = 1_780_000_000_000_000_000

/// The smallest reserve, so that a whole file is small.
let small = LogTuning(growth: 4096)

func openStore(
    _ fileSystem: MemoryFileSystem,
    mode: FileStore.Mode = .readWrite,
    clock: some Clock<Duration> = HandClock(),
    unixTime: Int64 = someday,
    configuration: FileStore.Configuration = .init(),
    tuning: LogTuning = small
) throws(StoreError) -> FileStore {
    try FileStore(
        at: "store",
        mode: mode,
        configuration: configuration,
        clock: clock,
        fileSystem: fileSystem,
        unixTime: unixTime,
        tuning: tuning
    )
}

func key(_ name: String) -> StoreKey { StoreKey("test", name) }

extension FileStore {
    @discardableResult
    func put(_ name: String, _ value: [UInt8], _ expiry: Expiry = .never) async throws -> StoreVersion {
        guard case .committed(let versions) = try await commit([.put(key(name), value, expiry, if: .any)]),
            let version = versions[0]
        else { throw StoreError(.invalid, "no version") }
        return version
    }

    /// Every entry of the keyspace that the tests use.
    func entries() async throws -> [StoreKey: [UInt8]] {
        let page = try await scan(StoreKey("test"), after: nil, limit: 10_000)
        return Dictionary(uniqueKeysWithValues: page.entries.map { ($0.key, $0.entry.value) })
    }
}

func reason(_ body: () async throws -> Void) async -> StoreError.Reason? {
    do { try await body() } catch { return (error as? StoreError)?.reason }
    return nil
}
