/// A writer of the JSON Canonicalization Scheme (RFC 8785) without recursion.
struct CanonicalJSON {
    private struct Container {
        let isObject: Bool
        /// The child values in the order of writing.
        let values: [Int]
        var written = 0
    }

    private let tape: JSONTape
    private var output: [UInt8] = []
    private var containers: [Container] = []

    private init(_ tape: JSONTape) { self.tape = tape }

    static func bytes(of node: Int, in tape: JSONTape) -> [UInt8] {
        var writer = CanonicalJSON(tape)
        writer.write(node)
        while let last = writer.containers.indices.last { writer.writeNext(in: last) }
        return writer.output
    }

    /// Writes a scalar or the beginning of a container.
    private mutating func write(_ node: Int) {
        switch tape.nodes[node].kind {
        case .null: output.append(contentsOf: "null".utf8)
        case .false: output.append(contentsOf: "false".utf8)
        case .true: output.append(contentsOf: "true".utf8)
        case .number: CanonicalNumber.append(tape.text(node), to: &output)
        case .string: writeString(tape.text(node))
        case .array:
            output.append(UInt8(ascii: "["))
            containers.append(Container(isObject: false, values: values(of: node)))
        case .object:
            output.append(UInt8(ascii: "{"))
            let values = values(of: node).sorted { first, second in
                Self.precedes(tape.text(first - 1), tape.text(second - 1))
            }
            containers.append(Container(isObject: true, values: values))
        }
    }

    /// Writes the next child of a container or the end of the container.
    private mutating func writeNext(in index: Int) {
        let container = containers[index]
        guard container.written < container.values.count else {
            output.append(UInt8(ascii: container.isObject ? "}" : "]"))
            containers.removeLast()
            return
        }
        let value = container.values[container.written]
        containers[index].written += 1
        if container.written > 0 { output.append(UInt8(ascii: ",")) }
        if container.isObject {
            writeString(tape.text(value - 1))
            output.append(UInt8(ascii: ":"))
        }
        write(value)
    }

    private func values(of container: Int) -> [Int] {
        let step = tape.nodes[container].kind == .object ? 1 : 0
        var values: [Int] = []
        values.reserveCapacity(Int(tape.nodes[container].count))
        var value = container + 1 + step
        while value < Int(tape.nodes[container].end) {
            values.append(value)
            value = Int(tape.nodes[value].end) + step
        }
        return values
    }

    /// Returns a Boolean value that indicates whether a key precedes another key in the order of UTF-16 code units.
    // The order of UTF-8 bytes differs only for scalars above U+FFFF. Their surrogates precede U+E000 to U+FFFF.
    private static func precedes(_ first: ArraySlice<UInt8>, _ second: ArraySlice<UInt8>) -> Bool {
        for (a, b) in zip(first, second) where a != b {
            // At the first difference, both texts are inside a scalar or both are at the beginning of a scalar.
            if a >= 0xEE, b >= 0xEE, (a >= 0xF0) != (b >= 0xF0) { return a >= 0xF0 }
            return a < b
        }
        return first.count < second.count
    }

    private mutating func writeString(_ text: ArraySlice<UInt8>) {
        output.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): output.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x08: output.append(contentsOf: #"\b"#.utf8)
            case 0x09: output.append(contentsOf: #"\t"#.utf8)
            case 0x0A: output.append(contentsOf: #"\n"#.utf8)
            case 0x0C: output.append(contentsOf: #"\f"#.utf8)
            case 0x0D: output.append(contentsOf: #"\r"#.utf8)
            case 0x00..<0x20:
                output.append(contentsOf: byte < 0x10 ? #"\u000"#.utf8 : #"\u00"#.utf8)
                output.append(contentsOf: String(byte, radix: 16).utf8)
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
