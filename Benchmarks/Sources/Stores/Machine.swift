import CMalloc
import Foundation

/// The files of a directory that has no directory inside.
func files(in directory: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).map { "\(directory)/\($0)" }
}

/// The bytes that the files of a directory occupy on the disk, as `du` counts them.
func diskBytes(in directory: String) -> Int {
    files(in: directory).reduce(0) { sum, path in
        var status = stat()
        return stat(path, &status) == 0 ? sum + Int(status.st_blocks) * 512 : sum
    }
}

/// The bytes that the program has allocated and not freed.
///
/// The value is 0 on a platform without statistics of its allocator.
func memoryInUse() -> Int {
    #if canImport(Glibc)
    let info = mallinfo2()
    return Int(info.uordblks + info.hblkhd)
    #elseif canImport(Darwin)
    var statistics = malloc_statistics_t()
    malloc_zone_statistics(nil, &statistics)
    return statistics.size_in_use
    #else
    return 0
    #endif
}

/// The bytes that the process has passed to system calls that write, or 0 without `/proc`.
func bytesWritten() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/io", encoding: .utf8) else { return 0 }
    let line = text.split(separator: "\n").first { $0.hasPrefix("wchar: ") }
    return line.flatMap { Int($0.dropFirst("wchar: ".count)) } ?? 0
}

/// The monotonic time in nanoseconds.
func monotonicNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Runs a body on a number of threads and waits for all of them.
func onThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    let group = DispatchGroup()
    for _ in 0..<count {
        group.enter()
        Thread.detachNewThread {
            body()
            group.leave()
        }
    }
    group.wait()
}
