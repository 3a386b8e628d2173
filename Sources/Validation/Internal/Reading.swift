internal import ReliabilityCore

/// What one call of `parse` knows: the document, what was asked of it, and what was found wrong.
final class Reading {
    private(set) var tape: JSONTape
    private var issues: [Issue] = [] {
        didSet { listed = nil }
    }
    /// The issues as they are thrown, once somebody asked: every field of a long array may.
    private var listed: ValidationError?
    /// Whether there is more to report than the limit allows; then looking further can add nothing.
    private(set) var isTruncated = false {
        didSet { listed = nil }
    }
    private var thrown: (any Error)?
    private let issueLimit: Int

    private struct Issue {
        /// The node, or for a missing field its object.
        let node: Int
        let detail: ErrorDetail
    }

    init(_ tape: JSONTape, issueLimit: Int) {
        self.tape = tape
        self.issueLimit = issueLimit
    }

    /// Runs the caller's code; nil means that it threw, and what.
    func attempt<Value>(_ body: () throws -> Value) -> Value? {
        do {
            return try body()
        } catch {
            // Either a field's `value` threw, and there is an issue to report in its stead, or this is what to throw.
            if thrown == nil { thrown = error }
            return nil
        }
    }

    /// What `parse` is to throw.
    var failure: (any Error)? {
        if issues.isEmpty { return thrown }
        if let listed { return listed }
        let order = issues.indices.sorted { (issues[$0].node, $0) < (issues[$1].node, $1) }
        let error = ValidationError(order.map { issues[$0].detail }, isTruncated: isTruncated)
        listed = error
        return error
    }

    /// Records what is wrong with a node, or with a member that it has not.
    func record(_ problem: Problem, at node: Int, missing keys: ArraySlice<String> = []) {
        guard !isTruncated else { return }
        var pointer = tape.pointer(to: node)
        for key in keys { pointer.append(key.utf8) }
        let detail = ErrorDetail(pointer: pointer.text, code: problem.code, message: problem.message)
        // Two fields of one missing object are one problem.
        if issues.contains(where: { $0.node == node && $0.detail == detail }) { return }
        if issues.count < issueLimit { issues.append(Issue(node: node, detail: detail)) } else { isTruncated = true }
    }

    /// The value of a member, which is known from now on.
    func member(_ key: String, of object: Int) -> Int? {
        examine(object)
        guard let node = tape.member(key, of: object) else { return nil }
        tape.nodes[node].isKnown = true
        return node
    }

    /// Says that not every member of this object was asked for, so that none is unknown.
    func leaveIncomplete(_ object: Int) { tape.nodes[object].examination = .incomplete }

    /// Marks an object whose members are all to be known, even if none is asked for.
    func examine(_ object: Int) {
        if tape.nodes[object].examination == .none { tape.nodes[object].examination = .complete }
    }

    func recordUnknownMembers() {
        for object in tape.nodes.indices {
            let node = tape.nodes[object]
            guard node.kind == .object, node.examination == .complete else { continue }
            var value = object + 2
            while value < Int(node.end), !isTruncated {
                if !tape.nodes[value].isKnown { record(.unknownField, at: value) }
                value = Int(tape.nodes[value].end) + 1
            }
        }
    }
}
