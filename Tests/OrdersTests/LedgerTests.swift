import Foundation
import Testing

@testable import orders

@Suite("ledger of orders")
struct LedgerTests {
    private func withPath(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "ledger-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    /// Appends a line and returns the lines before it.
    private func append(_ line: String, to ledger: Ledger) throws -> [String] {
        var before: [String] = []
        try ledger.exchange { lines in
            before = lines.map { String(decoding: $0, as: UTF8.self) }
            return line
        }
        return before
    }

    @Test("each ledger of a file receives the lines of the others once")
    func exchange() throws {
        try withPath { path in
            let (first, second) = (try Ledger(path: path), try Ledger(path: path))
            #expect(try append("a", to: first) == [])
            #expect(try append("b", to: second) == ["a"])
            #expect(try append("c", to: first) == ["a", "b"])
            #expect(try append("d", to: second) == ["b", "c"])
        }
    }

    @Test("simultaneous exchanges never miss a line of another ledger")
    func simultaneous() throws {
        try withPath { path in
            // Each line is the number of lines before it, so a missed line leads to the same number twice.
            DispatchQueue.concurrentPerform(iterations: 4) { _ in
                guard let ledger = try? Ledger(path: path) else { return }
                var count = 0
                for _ in 0..<100 {
                    try? ledger.exchange { lines in
                        count += lines.count
                        usleep(20)
                        return "\(count)"
                    }
                }
            }
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let numbers: [Int?] = text.split(separator: "\n").map { Int($0) }
            #expect(numbers == Array(0..<400))
        }
    }

    @Test("a line that a killed process began is removed, and an error hands the same lines over again")
    func failures() throws {
        struct Failure: Error {}
        try withPath { path in
            try Data("a\nb\nhal".utf8).write(to: URL(fileURLWithPath: path))
            let ledger = try Ledger(path: path)
            #expect(throws: Failure.self) { try ledger.exchange { _ in throw Failure() } }
            #expect(try append("c", to: ledger) == ["a", "b"])
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "a\nb\nc\n")
        }
    }
}
