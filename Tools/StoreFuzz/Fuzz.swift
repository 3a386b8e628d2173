import Foundation

// A fuzzer of one of the targets, which RELIABILITY_FUZZ_TARGET names; `.ci/fuzz` builds and runs them. The arguments
// are libFuzzer's. With RELIABILITY_FUZZ_SEEDS=DIRECTORY it writes the target's first inputs there instead.

private let target: FuzzTarget = {
    let targets: [String: FuzzTarget] = [
        "frame": .frame, "recovery": .recovery, "directory": .directory, "codec": .codec, "operations": .operations,
    ]
    let environment = ProcessInfo.processInfo.environment
    guard let target = targets[environment["RELIABILITY_FUZZ_TARGET"] ?? ""] else {
        print("RELIABILITY_FUZZ_TARGET is one of: \(targets.keys.sorted().joined(separator: ", "))")
        _exit(64)
    }
    if let directory = environment["RELIABILITY_FUZZ_SEEDS"] {
        for (number, seed) in target.seeds.enumerated() {
            let file = URL(fileURLWithPath: directory).appendingPathComponent("seed-\(number)")
            do { try Data(seed).write(to: file) } catch { _exit(74) }
        }
        _exit(0)
    }
    return target
}()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(unsafe Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}
