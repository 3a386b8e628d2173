import Workloads

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `Once <workload> <count>`: makes the calls and prints by how much the process has grown.
@main
struct Once {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let workload = Workload(rawValue: arguments[1]), let count = Int(arguments[2])
        else {
            print("usage: Once <workload> <count>, with a workload of:")
            for workload in Workload.allCases { print("  \(workload.rawValue)") }
            exit(64)
        }
        try await measure(workload, count)
    }

    /// Not on the main actor, where every call would pay for the way back to it.
    @concurrent static func measure(_ workload: Workload, _ count: Int) async throws {
        // What the runtime allocates once is not the calls'.
        try await workload.run(1000)
        let before = residentKilobytes()
        let start = ContinuousClock.now
        try await workload.run(count)
        let time = ContinuousClock.now - start
        print("\(workload.rawValue): \(count) calls, \(time / count) each, grown by \(residentKilobytes() - before) KB")
    }

    /// The resident set, from /proc; 0 where there is none.
    static func residentKilobytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4 : 0
    }
}
