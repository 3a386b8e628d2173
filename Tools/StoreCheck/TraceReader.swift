import Foundation

/// A reader of the output of `strace -f -e trace=%file,%desc` that keeps the calls on one directory and its files.
///
/// An unknown call is kept unchanged, so no call on the store is missed.
struct TraceReader {
    /// The calls, each with its name, its file and its relevant arguments.
    static func calls(_ trace: String, _ directory: String) -> [String] {
        var reader = TraceReader(directory)
        for line in trace.split(separator: "\n") { reader.read(line) }
        return reader.calls
    }

    private let directory: String
    private let parent: String
    private var calls: [String] = []
    /// The names of open files by descriptor.
    private var open: [String: String] = [:]
    /// The beginnings of interrupted calls by thread.
    private var unfinished: [Substring: Substring] = [:]

    private init(_ directory: String) {
        self.directory = directory
        parent = directory.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    }

    private mutating func read(_ line: Substring) {
        let thread = line.prefix { $0 != " " }
        var call = line.dropFirst(thread.count).drop { $0 == " " }
        if let end = call.range(of: " <unfinished ...>") {
            unfinished[thread] = call[..<end.lowerBound]
            return
        }
        if call.hasPrefix("<... "), let rest = call.range(of: " resumed>") {
            guard let beginning = unfinished.removeValue(forKey: thread) else { return }
            call = Substring(String(beginning) + call[rest.upperBound...])
        }
        guard let bracket = call.firstIndex(of: "("), let end = call.range(of: ") ", options: .backwards) else {
            return
        }
        let arguments = Self.arguments(call[call.index(after: bracket)..<end.lowerBound])
        let result = call[end.upperBound...].drop { $0 == " " || $0 == "=" }.split(separator: " ")
        guard let value = result.first else { return }
        let failure = value == "-1" && result.count > 1 ? " " + result[1] : ""
        keep(String(call[..<bracket]), arguments, String(value), failure)
    }

    /// Splits a text at commas outside of strings, structures and lists.
    private static func arguments(_ text: Substring) -> [String] {
        var arguments = [""]
        var depth = 0
        var isQuoted = false
        for character in text {
            switch character {
            case "\"": isQuoted.toggle()
            case "{", "[", "(": depth += isQuoted ? 0 : 1
            case "}", "]", ")": depth -= isQuoted ? 0 : 1
            case "," where depth == 0 && !isQuoted:
                arguments.append("")
                continue
            case " " where depth == 0 && !isQuoted: continue
            default: break
            }
            arguments[arguments.count - 1].append(character)
        }
        return arguments
    }

    private static func flags(_ text: String) -> String { text.split(separator: "|").sorted().joined(separator: "|") }

    /// Returns the name for a path, or `nil` for a path outside of the store.
    private func name(_ path: String, in directory: String?) -> String? {
        let path = path.filter { $0 != "\"" }
        if path == self.directory { return "DIRECTORY" }
        if path == parent { return "PARENT" }
        if path.hasPrefix(self.directory + "/") { return "by path: " + path }
        guard let directory, open[directory] == "DIRECTORY" else { return nil }
        return path == "." ? "DIRECTORY" : path
    }

    private mutating func keep(_ call: String, _ arguments: [String], _ value: String, _ failure: String) {
        let first = arguments.first ?? ""
        func argument(_ index: Int) -> String { index < arguments.count ? arguments[index] : "?" }
        switch call {
        case "mkdir", "mkdirat":
            let index = call == "mkdir" ? 0 : 1
            guard let name = name(argument(index), in: index == 0 ? nil : first) else { return }
            calls.append("mkdir \(name) \(argument(index + 1))\(failure)")
        case "open", "openat":
            let index = call == "open" ? 0 : 1
            guard let name = name(argument(index), in: index == 0 ? nil : first) else { return }
            let mode = index + 2 < arguments.count ? " " + argument(index + 2) : ""
            calls.append("open \(name) \(Self.flags(argument(index + 1)))\(mode)\(failure)")
            if failure.isEmpty { open[value] = name }
        case "unlinkat":
            guard let name = name(argument(1), in: first) else { return }
            calls.append("unlinkat \(name)" + (argument(2) == "0" ? "" : " " + argument(2)) + failure)
        case "newfstatat" where argument(1) == "\"\"" && argument(3) == "AT_EMPTY_PATH":
            if let name = open[first] { calls.append("fstat \(name)\(failure)") }
        case "fstat":
            if let name = open[first] { calls.append("fstat \(name)\(failure)") }
        case "pread64", "pwrite64":
            if let name = open[first] { calls.append("\(call) \(name) \(argument(2)) \(argument(3))\(failure)") }
        case "flock":
            if let name = open[first] { calls.append("flock \(name) \(Self.flags(argument(1)))\(failure)") }
        case "getdents64", "getdents":
            if let name = open[first] { calls.append("getdents64 \(name)\(failure)") }
        case "fcntl":
            if let name = open[first] { calls.append("fcntl \(name) \(argument(1))\(failure)") }
        case "fchmod":
            if let name = open[first] { calls.append("fchmod \(name) \(argument(1))\(failure)") }
        case "fdatasync", "fsync":
            if let name = open[first] { calls.append("\(call) \(name)\(failure)") }
        case "close":
            if let name = open.removeValue(forKey: first) { calls.append("close \(name)\(failure)") }
        default:
            let isOurs =
                arguments.contains { $0.contains(directory) } || open[first] != nil
                || call == "mmap" && open[argument(4)] != nil
            if isOurs { calls.append("\(call) \(arguments.joined(separator: " "))\(failure)") }
        }
    }
}
