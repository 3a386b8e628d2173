/// A parsed document as a flat array of nodes in document order.
///
/// The children of a container follow the container up to its `end`. The children of an object alternate between key
/// and value. No operation recurses. Releasing a deeply nested document does not recurse either.
struct JSONTape {
    enum Kind: UInt8 { case null, `false`, `true`, number, string, array, object }

    /// The reading state of an object's members, in which a later case overrides an earlier case.
    enum Examination: UInt8, Comparable {
        /// No member was read.
        case none
        /// The closures have read all members that they know.
        case complete
        /// A closure ended early and may not have read every member that the closure knows.
        case incomplete
        /// The known members depend on a missing or wrong field, here and in the objects inside.
        case undecided

        static func < (first: Self, second: Self) -> Bool { first.rawValue < second.rawValue }
    }

    // A node has 16 bytes. Every value and every key has a node.
    struct Node {
        var kind: Kind
        /// A Boolean value that indicates whether the text is in `unescaped` and not in `source`.
        var isEscaped = false
        /// A Boolean value that indicates whether a closure has read this member.
        var isKnown = false
        var examination = Examination.none
        /// The start of the text or of a large object's keys in `sortedKeys`.
        var start: UInt32 = 0
        /// The length of the text in bytes or the number of items or members.
        var count: UInt32 = 0
        /// The index after the last descendant.
        var end: UInt32 = 0
    }

    let source: [UInt8]
    var unescaped: [UInt8] = []
    var nodes: [Node] = []
    /// The keys of every object with more than `linearLimit` members, sorted for each object by `precedes`.
    var sortedKeys: [UInt32] = []

    /// The maximum number of members for a linear search.
    static let linearLimit = 8

    init(source: [UInt8]) { self.source = source }

    /// Returns the text of a string or number with escapes resolved.
    func text(_ node: Int) -> ArraySlice<UInt8> {
        let range = Int(nodes[node].start)..<Int(nodes[node].start) + Int(nodes[node].count)
        return nodes[node].isEscaped ? unescaped[range] : source[range]
    }

    /// Returns the value of an object's member, or `nil` if no key has the same bytes.
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

    /// Returns a Boolean value that indicates whether a key precedes a text by length and then by bytes.
    func precedes(_ node: Int, _ other: some Collection<UInt8>) -> Bool {
        let count = Int(nodes[node].count)
        if count != other.count { return count < other.count }
        return text(node).lexicographicallyPrecedes(other)
    }

    /// Returns the pointers to nodes in ascending order, found in a single pass over the document.
    func pointers(to targets: [Int]) -> [JSONPointer] {
        /// A container around the target and the child that is the target or contains the target.
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

/// A JSON Pointer (RFC 6901) under construction.
///
/// Keys may come from the client, so a pointer has at most 512 bytes. A key over the limit is left out, together with
/// all keys after it. The pointer then leads to the nearest ancestor.
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
