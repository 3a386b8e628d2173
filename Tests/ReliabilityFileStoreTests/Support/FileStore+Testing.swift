import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import ReliabilityTesting

/// A second in 2026, in nanoseconds since 1970.
let someday: Int64 = 1_780_000_000_000_000_000

/// A tuning with the smallest reserve, for small files.
let small = LogTuning(growth: 4096)

/// Opens a store in memory at a fixed time.
func openStore(
    _ fileSystem: MemoryFileSystem,
    mode: FileStore.Mode = .readWrite,
    clock: some Clock<Duration> = ManualClock(),
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

    /// All entries of the keyspace of the tests.
    func entries() async throws -> [StoreKey: [UInt8]] {
        var entries: [StoreKey: [UInt8]] = [:]
        var next: StoreKey?
        repeat {
            let page = try await scan(StoreKey("test"), after: next, limit: 10_000)
            for (key, entry) in page.entries { entries[key] = entry.value }
            next = page.next
        } while next != nil
        return entries
    }
}

/// Returns the reason of the `StoreError` that a call throws, or `nil` if the call does not throw one.
func reason(_ body: () async throws -> Void) async -> StoreError.Reason? {
    do { try await body() } catch { return (error as? StoreError)?.reason }
    return nil
}
