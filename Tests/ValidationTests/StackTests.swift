import ReliabilityCore
import Testing
import Validation

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Runs `body` to its end on a thread with a stack of the given size.
private func onThread(stackBytes: Int, _ body: @escaping @Sendable () -> Void) {
    final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let start = unsafe Unmanaged.passRetained(Start(body)).toOpaque()
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setstacksize(&attributes, stackBytes)
    #if canImport(Darwin)
    var thread: pthread_t?
    unsafe pthread_create(
        &thread,
        &attributes,
        { context in
            unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
            return nil
        },
        start
    )
    if let thread = unsafe thread { unsafe pthread_join(thread, nil) }
    #else
    var thread = pthread_t()
    unsafe pthread_create(
        &thread,
        &attributes,
        { context in
            if let context = unsafe context { unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        },
        start
    )
    pthread_join(thread, nil)
    #endif
}

/// Recursive readers that follow the nesting of a document in different ways.
private enum Nested {
    typealias Read = @Sendable (JSONReader, Int) throws -> Int
    static let ways: [(open: String, close: String, levels: Int, read: Read)] = [
        ("[", "]", 1, array), ("{\"a\":", "}", 1, object), ("{\"a\":", "}", 1, decision),
        ("{\"a\":[", "]}", 2, both), ("{\"a\":", "}", 1, optional),
    ]

    static func body(_ way: Int, depth: Int) -> String {
        let (open, close, levels, _) = ways[way]
        let count = depth / levels
        return String(repeating: open, count: count) + "0" + String(repeating: close, count: count)
    }

    @Sendable static func array(_ json: JSONReader, _ left: Int) throws -> Int {
        if left == 0 { return try json.integer(in: 0...0).value }
        return try json.array(count: 0...1) { try array($0, left - 1) }.value.reduce(1, +)
    }

    @Sendable static func object(_ json: JSONReader, _ left: Int) throws -> Int {
        if left == 0 { return try json.integer(in: 0...0).value }
        return 1 + (try json.object { try $0.optional("a").map { try object($0, left - 1) } ?? 0 }.value)
    }

    @Sendable static func decision(_ json: JSONReader, _ left: Int) throws -> Int {
        if left == 0 { return try json.integer(in: 0...0).value }
        return try json.object { _ in 1 }
            .map { one in try json.optional("a").map { one + (try decision($0, left - 1)) } ?? one }
            .compactMap(code: "a.b", message: "No.") { $0 }.value
    }

    @Sendable static func optional(_ json: JSONReader, _ left: Int) throws -> Int {
        if left == 0 { return try json.integer(in: 0...0).value }
        return try json.optional("a").map { 1 + (try optional($0, left - 1)) } ?? 0
    }

    @Sendable static func both(_ json: JSONReader, _ left: Int) throws -> Int {
        if left == 0 { return try json.integer(in: 0...0).value }
        return try json.object { object in
            try object.array("a", count: 0...1) { try both($0, left - 2) }.value.reduce(2, +)
        }.value
    }
}

@Suite("Deep documents on small stacks")
struct StackTests {
    @Test("Recursive readers of the deepest document do not overflow the smallest usual stack", arguments: 0..<5)
    func deepest(_ way: Int) async {
        await #expect(processExitsWith: .success) { [way] in
            onThread(stackBytes: 512 << 10) {
                for depth in [64, 128, 512, 880, 1024] {
                    let validator = Validator(.init(maxDepth: depth, unknownKeys: .ignore))
                    do {
                        let read = try validator.parse(Nested.body(way, depth: depth).utf8) { json in
                            try Nested.ways[way].read(json, depth)
                        }
                        precondition(read == depth)
                    } catch let error as ValidationError {
                        precondition(depth > 64 && error.details.first?.code == "validation.too_deep")
                    } catch {
                        preconditionFailure("\(error)")
                    }
                }
            }
        }
    }

    @Test(
        "Readers that follow a chain reach its end",
        arguments: [
            "5", "null", "[]", #"{"next":5}"#, #"{"next":{"next":"x"}}"#, #"{"next":{"next":{"next":[{}]}}}"#,
        ]
    )
    func chain(_ body: String) async {
        await #expect(processExitsWith: .success) { [body] in
            func length(_ json: JSONReader) -> Int { json.optional("next").map { 1 + length($0) } ?? 0 }
            func otherLength(_ json: JSONReader) -> Int { json.nullable("next").map { 1 + otherLength($0) } ?? 0 }
            for read in [length, otherLength] {
                do {
                    _ = try Validator().parse(body.utf8, as: read)
                    preconditionFailure("accepted")
                } catch let error as ValidationError {
                    precondition(error.details.map(\.code) == ["validation.wrong_type"])
                }
            }
        }
    }
}
