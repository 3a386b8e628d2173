/// A parsed document: its values in document order, in one flat array.
///
/// A container's children follow it, up to its `end`; an object's are key, value, key, value. So no operation recurses,
/// and releasing the document is one step however it was nested.
struct JSONTape {
    enum Kind: UInt8 { case null, no, yes, number, string, array, object }

    /// What is known of an object's members; a later case overrules an earlier one.
    enum Examination: UInt8, Comparable {
        /// Nobody asked for any.
        case none
        /// Whoever reads has asked for all that it knows.
        case complete
        /// Some may not have been asked for, because reading ended early.
        case incomplete
        /// Some, here or in the objects within, were not asked for, because a field that decides on them is wrong.
        case undecided

        static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
    }

    // 16 bytes: there is one for every value and key.
    struct Node {
        var kind: Kind
        /// Whether the text lies in `unescaped`, and not in `source`.
        var isEscaped = false
        /// Whether the one who reads asked for this member.
        var isKnown = false
        var examination = Examination.none
        /// Where the text begins, or for an object of many members its keys in `sortedKeys`.
        var start: UInt32 = 0
        /// The bytes of the text, or the number of children.
        var count: UInt32 = 0
        /// The index after the last node within.
        var end: UInt32 = 0
    }

    let source: [UInt8]
    var unescaped: [UInt8] = []
    var nodes: [Node] = []
    /// The keys of every object that has more than `linearLimit` members, each object's in the order of `precedes`.
    var sortedKeys: [UInt32] = []

    /// The most members among which one is found by looking at each.
    static let linearLimit = 8

    init(source: [UInt8]) { self.source = source }

    /// The text of a string or number, escapes resolved.
    func text(_ node: Int) -> ArraySlice<UInt8> {
        let range = Int(nodes[node].start)..<Int(nodes[node].start) + Int(nodes[node].count)
        return nodes[node].isEscaped ? unescaped[range] : source[range]
    }

    /// The value of an object's member, compared by the key's bytes.
    func member(_ key: String, of object: Int) -> Int? {
        let key = key.utf8
        let count = Int(nodes[object].count)
        if count > Self.linearLimit { return sortedMember(key, of: object) }
        var index = object + 1
        for _ in 0..<count {
            if Int(nodes[index].count) == key.count, text(index).elementsEqual(key) { return index + 1 }
            index = Int(nodes[index + 1].end)
        }
        return nil
    }

    private func sortedMember(_ key: String.UTF8View, of object: Int) -> Int? {
        var low = Int(nodes[object].start)
        var high = low + Int(nodes[object].count)
        while low < high {
            let middle = (low + high) / 2
            let candidate = Int(sortedKeys[middle])
            if precedes(candidate, key) { low = middle + 1 } else { high = middle }
        }
        guard low < Int(nodes[object].start) + Int(nodes[object].count) else { return nil }
        let candidate = Int(sortedKeys[low])
        let isEqual = Int(nodes[candidate].count) == key.count && text(candidate).elementsEqual(key)
        return isEqual ? candidate + 1 : nil
    }

    /// Whether a key's text comes before another text: the shorter first, equally long ones by their bytes.
    func precedes(_ node: Int, _ other: some Collection<UInt8>) -> Bool {
        let count = Int(nodes[node].count)
        if count != other.count { return count < other.count }
        return text(node).lexicographicallyPrecedes(other)
    }

    /// The pointers to nodes that are given in ascending order, found in one walk over the document.
    func pointers(to targets: [Int]) -> [JSONPointer] {
        /// A container around the target, and the child of it that is, or is around, the target.
        struct Step {
            let container: Int
            var child: Int
            var position = 0
        }
        var steps: [Step] = []
        func enter(_ container: Int) {
            steps.append(Step(container: container, child: container + (nodes[container].kind == .object ? 2 : 1)))
        }
        return targets.map { target in
            while let last = steps.last, Int(nodes[last.container].end) <= target { steps.removeLast() }
            if steps.isEmpty, target > 0 { enter(0) }
            while let last = steps.indices.last {
                let isObject = nodes[steps[last].container].kind == .object
                while Int(nodes[steps[last].child].end) <= target {
                    steps[last].child = Int(nodes[steps[last].child].end) + (isObject ? 1 : 0)
                    steps[last].position += 1
                }
                if steps[last].child >= target { break }
                enter(steps[last].child)
            }
            var pointer = JSONPointer()
            for step in steps {
                if nodes[step.container].kind == .object {
                    pointer.append(text(step.child - 1))
                } else {
                    pointer.append(step.position)
                }
            }
            return pointer
        }
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
