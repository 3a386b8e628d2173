/// Encodes commands in the protocol RESP2.
enum RESPEncoder {
    static func append(_ command: [[UInt8]], to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + 16 + command.reduce(0) { $0 + $1.count + 16 })
        append(UInt8(ascii: "*"), command.count, to: &bytes)
        for part in command {
            append(UInt8(ascii: "$"), part.count, to: &bytes)
            bytes.append(contentsOf: part)
            bytes.append(13)
            bytes.append(10)
        }
    }

    private static func append(_ kind: UInt8, _ number: Int, to bytes: inout [UInt8]) {
        bytes.append(kind)
        bytes.append(decimal: UInt64(number))
        bytes.append(13)
        bytes.append(10)
    }
}
