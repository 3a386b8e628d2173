#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Looks into the directory of a file store, and copies the readable content of a damaged store.
@main
struct StoreInspector {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let code = await Inspector(Console()).run(arguments)
        exit(code)
    }
}

/// The exit codes.
enum ExitCode {
    static let success: Int32 = 0
    static let damage: Int32 = 1
    static let usage: Int32 = 2
    static let failure: Int32 = 3
}

/// The places to which the inspector writes.
struct Console: Sendable {
    /// Writes text to standard output.
    var output: @Sendable (String) -> Void = { write($0, STDOUT_FILENO) }
    /// Writes text to standard error.
    var error: @Sendable (String) -> Void = { write($0, STDERR_FILENO) }
    /// A Boolean value that indicates whether standard error is a terminal and shows progress.
    var isTerminal = isatty(STDERR_FILENO) == 1

    private static func write(_ text: String, _ descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { buffer in
                #if canImport(Darwin)
                unsafe Darwin.write(descriptor, buffer.baseAddress, buffer.count)
                #elseif canImport(Glibc)
                unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
                #else
                unsafe Musl.write(descriptor, buffer.baseAddress, buffer.count)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }
}
