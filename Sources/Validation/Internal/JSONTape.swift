/// A parsed document: its values in document order, in one flat array.
///
/// A container's children follow it, up to its `end`; an object's are key, value, key, value. So no operation recurses,
/// and releasing the document is one step however it was nested.
struct JSONTape {
    enum Kind: UInt8 { case null, no, yes, number, string, array, object }

    /// What is known of an object's members.
    enum Examination: UInt8 {
        /// Nobody asked for any.
        case none
        /// Whoever reads has asked for all that it knows.
        case complete
        /// Some were not asked for, because a field that decides on them is wrong.
        case incomplete
    }

    // 16 bytes: there is one for every value and key.
    struct Node {
        var kind: Kind
        /// Whether the text lies in `unescaped`, and not in `source`.
        var isEscaped = false
        /// Whether the one who reads asked for this member.
        var isKnown = false
        var examination = Examination.none
        /// Where the text begins.
        var start: UInt32 = 0
        /// The bytes of the text, or the number of children.
        var count: UInt32 = 0
        /// The index after the last node within.
        var end: UInt32 = 0
    }

    let source: [UInt8]
    var unescaped: [UInt8] = []
    var nodes: [Node] = []

    init(source: [UInt8]) { self.source = source }

    /// The text of a string or number, escapes resolved.
    func text(_ node: Int) -> ArraySlice<UInt8> {
        let range = Int(nodes[node].start)..<Int(nodes[node].start) + Int(nodes[node].count)
        return nodes[node].isEscaped ? unescaped[range] : source[range]
    }

    /// The value of an object's member, compared by the key's bytes.
    func member(_ key: String, of object: Int) -> Int? {
        var index = object + 1
        let end = Int(nodes[object].end)
        while index < end {
            if Int(nodes[index].count) == key.utf8.count, text(index).elementsEqual(key.utf8) { return index + 1 }
            index = Int(nodes[index + 1].end)
        }
        return nil
    }

    /// The pointer to a node; found from the top, since few are ever asked for.
    func pointer(to node: Int) -> JSONPointer {
        var pointer = JSONPointer()
        var container = 0
        while container < node {
            let isObject = nodes[container].kind == .object
            var child = container + (isObject ? 2 : 1)
            var position = 0
            while Int(nodes[child].end) <= node {
                child = Int(nodes[child].end) + (isObject ? 1 : 0)
                position += 1
            }
            if isObject { pointer.append(text(child - 1)) } else { pointer.append(position) }
            container = child
        }
        return pointer
    }
}

/// A JSON Pointer (RFC 6901) in the making.
///
/// Keys may be the client's words: one that would make the pointer longer than 512 bytes is left out with all that
/// follow, so the pointer names the nearest part that can be named.
struct JSONPointer {
    static let limit = 512

    private var bytes: [UInt8] = []
    private var isFull = false

    var text: String { String(decoding: bytes, as: UTF8.self) }

    mutating func append(_ key: some Collection<UInt8>) {
        guard !isFull, bytes.count + key.count < Self.limit else {
            isFull = true
            return
        }
        let start = bytes.count
        bytes.append(UInt8(ascii: "/"))
        for byte in key {
            switch byte {
            case UInt8(ascii: "~"): bytes.append(contentsOf: "~0".utf8)
            case UInt8(ascii: "/"): bytes.append(contentsOf: "~1".utf8)
            default: bytes.append(byte)
            }
        }
        if bytes.count > Self.limit {
            bytes.removeSubrange(start...)
            isFull = true
        }
    }

    mutating func append(_ position: Int) { append(String(position).utf8) }
}
