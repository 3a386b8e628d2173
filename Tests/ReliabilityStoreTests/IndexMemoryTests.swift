#if canImport(Glibc) && !RELIABILITY_SANITIZE_THREAD
import Glibc
import ReliabilityCore
import Testing

@testable import ReliabilityStore

/// The allocated memory of a content, counted by the allocator's own figures.
///
/// The suite reads glibc's `malloc_info`. Other platforms have no such figures that exclude free memory exactly.
@Suite("Memory of entries", .serialized)
struct IndexMemoryTests {
    /// The bytes in use by allocations of the process, or `nil` without glibc's `malloc_info`.
    private static func allocatedBytes() -> Int? {
        typealias Info = @convention(c) (Int32, UnsafeMutablePointer<FILE>) -> Int32
        guard let symbol = unsafe dlsym(nil, "malloc_info") else { return nil }
        let mallocInfo = unsafe unsafeBitCast(symbol, to: Info.self)
        var text: UnsafeMutablePointer<CChar>?
        var size = 0
        guard let stream = unsafe open_memstream(&text, &size) else { return nil }
        _ = unsafe mallocInfo(0, stream)
        unsafe fclose(stream)
        defer { unsafe free(text) }
        guard let start = unsafe text else { return nil }
        let info = unsafe String(cString: start)
        // The last lines are the totals of all arenas.
        func total(_ prefix: String) -> Int? {
            let line = info.split(separator: "\n").last { $0.hasPrefix(prefix) }
            return line?.split(separator: "size=\"").last?.split(separator: "\"").first.flatMap { Int($0) }
        }
        guard let system = total("<system type=\"current\""), let rest = total("<total type=\"rest\""),
            let fast = total("<total type=\"fast\""), let mapped = total("<total type=\"mmap\"")
        else { return nil }
        return system - rest - fast + mapped
    }

    @Test(
        "an entry takes at most 100 bytes beyond its key and value, and gives them back",
        arguments: [100, 17],
        [true, false]
    )
    func bytesPerEntry(valueCount: Int, isExpiring: Bool) async {
        // A process of its own, because other tests allocate at the same time.
        await #expect(processExitsWith: .success) { [valueCount = valueCount as Int, isExpiring = isExpiring as Bool] in
            let count = 100_000
            let value = [UInt8](repeating: 1, count: valueCount)
            // The keys have 16 encoded bytes in an order unlike their numbers.
            func key(_ number: Int) -> StoreKey {
                let mixed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
                return StoreKey("bench", bytes: [(0..<8).map { UInt8(truncatingIfNeeded: mixed >> (8 * $0)) }])
            }
            let before = try #require(Self.allocatedBytes())
            var index = EntryIndex()
            for number in 0..<count {
                let expiresAt = isExpiring ? Int64(number % 1000 + 1) : nil
                index.put(key(number), StoredEntry(value: value, version: UInt64(number), expiresAt: expiresAt))
            }
            let used = try #require(Self.allocatedBytes()) - before
            try #require(used / count - key(0).byteCount - valueCount <= 100)
            try #require(used > count * (key(0).byteCount + valueCount), "the allocator's figures are not plausible")
            if isExpiring {
                index.reclaim(atMost: .max, at: .max)
            } else {
                for number in 0..<count { index.remove(key(number)) }
            }
            try #require(index.count == 0)
            let rest = try #require(Self.allocatedBytes()) - before
            try #require(rest < used / 20)
        }
    }
}
#endif
