import Foundation

/// Runs the orders example as a process, in a directory that exists as long as the fixture.
final class OrdersFixture: Sendable {
    let data: String

    init() throws {
        data = NSTemporaryDirectory() + "orders-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: data) }

    struct Run {
        var lines: [Answer] = []
        var errors = ""
        var exitCode: Int32 = 0
    }

    struct Answer: Decodable {
        struct Body: Decodable {
            struct Detail: Decodable {
                var pointer: String
                var code: String
            }
            var code: String
            var message: String
            var requestId: String
            var details: [Detail]
        }
        var line: Int
        var status: Int
        var outcome: String
        var orderId: String?
        var error: Body?

        var isAccepted: Bool { outcome != "rejected" }
    }

    struct Charge: Decodable {
        var orderId: String
        var key: String
        var amountCents: Int64
        var `repeat`: Bool
    }

    struct Shipment: Decodable {
        var orderId: String
        var messageId: String
        var `repeat`: Bool
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    /// The executable, which the build puts beside the test bundle.
    private static var executable: URL {
        URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("orders")
    }

    /// Runs the process to its end, or sends a signal after this number of answered lines.
    func run(
        _ arguments: [String],
        input: Data? = nil,
        signal: (number: Int32, afterLines: Int)? = nil
    ) async throws -> Run {
        // Not on a thread of the shared pool, because the call blocks until the process ends.
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(with: Result { try self.runAndWait(arguments, input: input, signal: signal) })
            }
        }
    }

    private func runAndWait(
        _ arguments: [String],
        input: Data?,
        signal: (number: Int32, afterLines: Int)?
    ) throws -> Run {
        var arguments = arguments + ["--data", data]
        if let input {
            let path = data + "/input"
            try input.write(to: URL(fileURLWithPath: path))
            arguments += ["--input", path]
        }
        let process = Process()
        process.executableURL = Self.executable
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        let errorPath = data + "/stderr"
        _ = FileManager.default.createFile(atPath: errorPath, contents: nil)
        process.standardError = FileHandle(forWritingAtPath: errorPath)
        try process.run()
        var bytes = Data()
        var isSignalled = false
        while true {
            let chunk = output.fileHandleForReading.availableData
            if chunk.isEmpty { break }
            bytes += chunk
            if let signal, !isSignalled, bytes.count(where: { $0 == 0x0A }) >= signal.afterLines {
                isSignalled = true
                kill(process.processIdentifier, signal.number)
            }
        }
        process.waitUntilExit()
        var run = Run()
        run.exitCode = process.terminationStatus
        run.errors = (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? ""
        // A partial last line does not count as an answer.
        let end = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? bytes.startIndex
        for line in bytes[bytes.startIndex..<end].split(separator: 0x0A) {
            run.lines.append(try Self.decoder.decode(Answer.self, from: line))
        }
        return run
    }

    private func ledger<Entry: Decodable>(_ name: String, _: Entry.Type = Entry.self) throws -> [Entry] {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: data + "/" + name))
        return try bytes.split(separator: 0x0A).map { try Self.decoder.decode(Entry.self, from: $0) }
    }

    func charges() throws -> [Charge] { try ledger("charges.ndjson") }
    func shipments() throws -> [Shipment] { try ledger("shipments.ndjson") }

    var gatewayCalls: Int {
        get throws {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: data + "/calls.ndjson"))
            return bytes.split(separator: 0x0A).count { $0.starts(with: Data(#"{"service":"gateway""#.utf8)) }
        }
    }
}

/// A line with a valid order, except for the given values.
func order(
    id: String = "9b2f6a3e-0c1d-4e5f-8a9b-0c1d2e3f4a5b",
    email: String = "ada@example.com",
    key: String = "key-1",
    quantity: String = "2",
    price: String = "1999",
    extra: String = ""
) -> String {
    """
    {"order_id":"\(id)","customer":{"email":"\(email)","phone":"+4930123456"},"reference":"po-1","currency":"EUR",\
    "items":[{"sku":"A","quantity":\(quantity),"unit_price_cents":\(price)}],"idempotency_key":"\(key)"\(extra)}
    """
}

/// A UUID that contains this number.
func id(_ number: Int) -> String {
    let digits = String(number)
    return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
}

func lines(_ lines: [String]) -> Data { Data((lines.joined(separator: "\n") + "\n").utf8) }
