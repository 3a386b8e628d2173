import ReliabilityCore
import Testing

@testable import Validation

/// A JSON value with strings and keys as scalars, which are not compared by Unicode equivalence.
private indirect enum Tree: Equatable {
    case null, `false`, `true`
    case number(String)
    case string([Unicode.Scalar])
    case array([Tree])
    case object([Member])

    struct Member: Equatable {
        let key: [Unicode.Scalar]
        let value: Tree
    }

    init(_ tape: JSONTape, _ node: Int = 0) {
        let text = String(decoding: tape.nodes[node].kind.hasText ? tape.text(node) : [], as: UTF8.self)
        var children: [Int] = []
        var child = node + 1
        while tape.nodes[node].kind.isContainer, child < Int(tape.nodes[node].end) {
            children.append(child)
            child = Int(tape.nodes[child].end)
        }
        switch tape.nodes[node].kind {
        case .null: self = .null
        case .true: self = .true
        case .false: self = .false
        case .number: self = .number(text)
        case .string: self = .string(Array(text.unicodeScalars))
        case .array: self = .array(children.map { Tree(tape, $0) })
        case .object:
            self = .object(
                stride(from: 0, to: children.count, by: 2).map { position in
                    let key = String(decoding: tape.text(children[position]), as: UTF8.self)
                    return Member(key: Array(key.unicodeScalars), value: Tree(tape, children[position + 1]))
                }
            )
        }
    }

    static func random(depth: Int, using generator: inout SeededGenerator) -> Tree {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 6), using: &generator) {
        case 0: return .null
        case 1: return .true
        case 2: return .false
        case 3: return .number(randomNumber(using: &generator))
        case 4, 5: return .string(randomText(using: &generator))
        case 6: return .array(children(depth: depth, using: &generator))
        default:
            var members: [Member] = []
            for value in children(depth: depth, using: &generator) {
                let key = randomText(using: &generator)
                if !members.contains(where: { $0.key == key }) { members.append(Member(key: key, value: value)) }
            }
            return .object(members)
        }
    }

    private static func children(depth: Int, using generator: inout SeededGenerator) -> [Tree] {
        (0..<Int.random(in: 0...5, using: &generator)).map { _ in random(depth: depth - 1, using: &generator) }
    }

    private static func randomNumber(using generator: inout SeededGenerator) -> String {
        let whole = String(
            Int64.random(in: .min ... .max, using: &generator) >> Int64.random(in: 0...63, using: &generator)
        )
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: return whole + ".\(Int.random(in: 0...999, using: &generator))"
        case 1: return whole + generator.pick(["e", "E", "e+", "E-"]) + "07"
        default: return whole
        }
    }

    private static func randomText(using generator: inout SeededGenerator) -> [Unicode.Scalar] {
        (0..<Int.random(in: 0...6, using: &generator)).map { _ in
            let limits: [UInt32] = [0x7F, 0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF]
            let limit = generator.pick(limits)
            return Unicode.Scalar(UInt32.random(in: 1...limit, using: &generator)) ?? "~"
        }
    }

    /// Writes the tree as JSON with random white space and escapes.
    func write(to text: inout String, using generator: inout SeededGenerator) {
        Self.writeSpace(to: &text, using: &generator)
        switch self {
        case .null: text += "null"
        case .true: text += "true"
        case .false: text += "false"
        case .number(let number): text += number
        case .string(let scalars): Self.write(scalars, to: &text, using: &generator)
        case .array(let items):
            text += "["
            for (position, item) in items.enumerated() {
                if position > 0 { text += "," }
                item.write(to: &text, using: &generator)
            }
            Self.writeSpace(to: &text, using: &generator)
            text += "]"
        case .object(let members):
            text += "{"
            for (position, member) in members.enumerated() {
                if position > 0 { text += "," }
                Self.writeSpace(to: &text, using: &generator)
                Self.write(member.key, to: &text, using: &generator)
                Self.writeSpace(to: &text, using: &generator)
                text += ":"
                member.value.write(to: &text, using: &generator)
            }
            Self.writeSpace(to: &text, using: &generator)
            text += "}"
        }
        Self.writeSpace(to: &text, using: &generator)
    }

    private static func writeSpace(to text: inout String, using generator: inout SeededGenerator) {
        if Int.random(in: 0..<4, using: &generator) == 0 {
            text += generator.pick([" ", "\n", "\r", "\t", "  "])
        }
    }

    private static func write(
        _ scalars: [Unicode.Scalar],
        to text: inout String,
        using generator: inout SeededGenerator
    ) {
        text += "\""
        for scalar in scalars {
            if scalar.value < 0x20 || scalar == "\"" || scalar == "\\" || Int.random(in: 0..<8, using: &generator) == 0
            {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: Bool.random(using: &generator))
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONTape.Kind {
    fileprivate var isContainer: Bool { self == .array || self == .object }
    fileprivate var hasText: Bool { self == .number || self == .string }
}

@Suite("JSON parser")
struct JSONParserTests {
    @Test(
        "A written tree is parsed to the same tree",
        arguments: 0..<20
    )
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let tree = Tree.random(depth: 5, using: &generator)
            var text = ""
            tree.write(to: &text, using: &generator)
            let tape = try JSONParser.parse(Array(text.utf8), configuration: .standard)
            #expect(Tree(tape) == tree, "seed \(seed): \(text)")
        }
    }

    @Test(
        "Mutated bodies neither trap nor break the tape",
        arguments: 0..<20
    )
    func mutations(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let interesting = Array("\"\\{}[]:,0123456789eE+-.untrfals \n\0".utf8) + [0x80, 0xC2, 0xED, 0xF0, 0xFF]
        for _ in 0..<100 {
            var text = ""
            Tree.random(depth: 4, using: &generator).write(to: &text, using: &generator)
            var bytes = Array(text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0...bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes.insert(generator.pick(interesting), at: place)
                case 1: if place < bytes.count { bytes.remove(at: place) }
                case 2: if place < bytes.count { bytes[place] = generator.pick(interesting) }
                default: bytes.removeSubrange(place...)
                }
            }
            guard let tape = try? JSONParser.parse(bytes, configuration: .init(maxDepth: 8)) else { continue }
            #expect(tape.nodes.first.map { Int($0.end) } == tape.nodes.count, "seed \(seed)")
            #expect(tape.pointers(to: Array(tape.nodes.indices)).count == tape.nodes.count, "seed \(seed)")
        }
    }

    @Test("Every escape is resolved")
    func escapes() throws {
        let tape = try JSONParser.parse(
            Array(#""x\"\\\/\b\f\n\r\tA\u00e9\u20AC\ud83d\uDE00z""#.utf8),
            configuration: .standard
        )
        #expect(Array(tape.text(0)) == Array("x\"\\/\u{8}\u{C}\n\r\tAé€😀z".utf8))
    }

    @Test("A node takes 16 bytes")
    func nodeSize() {
        #expect(MemoryLayout<JSONTape.Node>.stride == 16)
    }

    @Test("Pointers lead to every node")
    func pointersToNodes() throws {
        let text = #"{"a":[10,{"b":20}],"~/":{"":30},"c":40}"#
        let tape = try JSONParser.parse(Array(text.utf8), configuration: .standard)
        let numbers = tape.nodes.indices.filter { tape.nodes[$0].kind == .number }
        #expect(tape.pointers(to: numbers).map(\.text) == ["/a/0", "/a/1/b", "/~0~1/", "/c"])
        for (number, pointer) in zip(numbers, ["/a/0", "/a/1/b", "/~0~1/", "/c"]) {
            #expect(tape.pointers(to: [0, number, number]).map(\.text) == ["", pointer, pointer])
        }
    }

    @Test("Pointers to any set of nodes lead to their nodes", arguments: 0..<20)
    func pointers(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            var text = ""
            Tree.random(depth: 5, using: &generator).write(to: &text, using: &generator)
            let tape = try JSONParser.parse(Array(text.utf8), configuration: .standard)
            let expected = Self.pointers(in: tape, at: 0, "")
            let asked = expected.indices.filter { _ in Bool.random(using: &generator) }
            let found = tape.pointers(to: asked.map { expected[$0].node })
            #expect(
                found.map { Array($0.text.utf8) } == asked.map { Array(expected[$0].pointer.utf8) },
                "seed \(seed): \(text)"
            )
        }
    }

    /// Returns the pointer of every value in a document, found by recursion.
    private static func pointers(in tape: JSONTape, at node: Int, _ pointer: String) -> [(node: Int, pointer: String)] {
        var found = [(node: node, pointer: pointer)]
        guard tape.nodes[node].kind.isContainer else { return found }
        var child = node + 1
        var position = 0
        while child < Int(tape.nodes[node].end) {
            var step = "\(position)"
            if tape.nodes[node].kind == .object {
                step = ""
                for scalar in String(decoding: tape.text(child), as: UTF8.self).unicodeScalars {
                    step += scalar == "~" ? "~0" : scalar == "/" ? "~1" : String(scalar)
                }
                child += 1
            }
            found += pointers(in: tape, at: child, "\(pointer)/\(step)")
            child = Int(tape.nodes[child].end)
            position += 1
        }
        return found
    }

    @Test("Members are found by their exact keys in objects of every size", arguments: 0..<20)
    func members(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for count in [0, 1, 7, 8, 9, 10, 50, 300] {
            var keys: Set<[UInt8]> = []
            while keys.count < count {
                let length = Int.random(in: 0...(count < 9 ? 3 : 6), using: &generator)
                keys.insert((0..<length).map { _ in generator.pick(Array("abc".utf8)) })
            }
            let shuffled = keys.shuffled(using: &generator).map { String(decoding: $0, as: UTF8.self) }
            // The first key is escaped. The object is not the first object with sorted keys.
            let members = shuffled.map { #""\#($0)":{"\#($0)":[0]}"# }.joined(separator: ",")
            let body = "[{\((0..<10).map { "\"\($0)\":0" }.joined(separator: ","))},{\(members)}]"
                .replacing(#"{"a":{"#, with: #"{"\u0061":{"#)
            let tape = try JSONParser.parse(Array(body.utf8), configuration: .standard)
            let object = Int(tape.nodes[1].end)
            for key in shuffled {
                let value = try #require(tape.member(key, of: object), "seed \(seed): \(key)")
                #expect(tape.member(key, of: value) != nil, "seed \(seed): \(key)")
                for absent in [key + "d", "d" + key, key + "aaaaaaa"] {
                    #expect(tape.member(absent, of: object) == nil)
                }
            }
        }
    }
}

@Suite("JSON pointers")
struct JSONPointerTests {
    @Test("Tilde and slash are escaped")
    func escapes() {
        var pointer = JSONPointer()
        pointer.append("a/b".utf8)
        pointer.append("m~n".utf8)
        pointer.append("~1".utf8)
        pointer.append(7)
        #expect(pointer.text == "/a~1b/m~0n/~01/7")
    }

    @Test("A long key leaves the pointer at its parent")
    func longKey() {
        var pointer = JSONPointer()
        pointer.append("a".utf8)
        pointer.append(repeatElement(UInt8(ascii: "k"), count: 600))
        pointer.append("b".utf8)
        #expect(pointer.text == "/a")
        var escaped = JSONPointer()
        escaped.append(repeatElement(UInt8(ascii: "/"), count: 300))
        #expect(escaped.text == "")
    }

    @Test("The longest key that fits is kept")
    func longestKey() {
        var pointer = JSONPointer()
        pointer.append(repeatElement(UInt8(ascii: "k"), count: 511))
        #expect(pointer.text.utf8.count == 512)
    }
}
