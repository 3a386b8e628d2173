internal import ReliabilityCore

/// What one call of `parse` knows: the document, what was asked of it, and what was found wrong.
@usableFromInline
final class Reading {
    /// How many arrays and objects may be around a value that is read.
    ///
    /// Where readers call one another, each level takes a part of the stack: without optimisation 64 take less than 192 KB,
    /// and the smallest usual stack has 512 KB.
    static let levelLimit = 64

    private(set) var tape: JSONTape
    private var issues: [Issue] = []
    /// Whether there is more to report than the limit allows; then looking further can add nothing.
    private(set) var isTruncated = false
    private var thrown: (any Error)?
    private let issueLimit: Int

    /// How many of the caller's closures run inside one another now.
    private var depth = 0
    /// How many of them, counted from the outermost, did not ask for all that they would have.
    private var cutDepth = 0
    /// The objects of which the closures that run have asked for members, the innermost closure's last.
    private var touched: [Int] = []

    private struct Issue {
        /// The node, or for a missing field its object.
        let node: Int
        let missing: ArraySlice<String>
        let problem: Problem
    }

    init(_ tape: JSONTape, issueLimit: Int) {
        self.tape = tape
        self.issueLimit = issueLimit
    }

    /// Runs the caller's code; nil means that it threw, and what.
    func attempt<Input, Value>(_ body: (Input) throws -> Value, _ input: Input, reading object: Int? = nil) -> Value? {
        let firstTouched = touched.count
        depth += 1
        if let object { touch(object) }
        defer { finish(firstTouched) }
        do {
            return try body(input)
        } catch {
            // Either a field's `value` threw, and there is an issue to report in its stead, or this is what to throw.
            if thrown == nil { thrown = error }
            // The closures further out lent it their readers, so they may not have asked for everything either.
            cutDepth = depth
            return nil
        }
    }

    /// Ends the innermost closure, which began when so many objects had been touched.
    private func finish(_ firstTouched: Int) {
        let examination: JSONTape.Examination = cutDepth >= depth ? .incomplete : .complete
        for object in touched[firstTouched...] { examine(object, examination) }
        touched.removeSubrange(firstTouched...)
        depth -= 1
        cutDepth = min(cutDepth, depth)
    }

    /// The error with which a field that has no value ends the closure.
    ///
    /// Every field of a long array may throw it, so it lists nothing.
    @usableFromInline var fieldFailure: any Error {
        if issues.isEmpty, let thrown { return thrown }
        return Self.unlisted
    }

    private static let unlisted = ValidationError([])

    /// What `parse` is to throw, once everything was read.
    func failure(_ unknownKeys: Validator.UnknownKeys) -> (any Error)? {
        if issues.isEmpty, let thrown { return thrown }
        if unknownKeys == .refuse { recordUnknownMembers() }
        if issues.isEmpty { return nil }
        let order = issues.indices.sorted { (issues[$0].node, $0) < (issues[$1].node, $1) }
        let sorted = order.map { issues[$0] }
        let details = zip(sorted, tape.pointers(to: sorted.map(\.node))).map { issue, pointer in
            var pointer = pointer
            for key in issue.missing { pointer.append(key.utf8) }
            return ErrorDetail(pointer: pointer.text, code: issue.problem.code, message: issue.problem.message)
        }
        return ValidationError(details, isTruncated: isTruncated)
    }

    /// Records what is wrong with a node, or with a member that it has not.
    func record(_ problem: Problem, at node: Int, missing keys: ArraySlice<String> = []) {
        guard !isTruncated else { return }
        // Two fields of one missing object are one problem.
        if issues.contains(where: { $0.node == node && $0.problem == problem && $0.missing == keys }) { return }
        if issues.count < issueLimit {
            issues.append(Issue(node: node, missing: keys, problem: problem))
        } else {
            isTruncated = true
        }
    }
}

// What is known of an object's members.
extension Reading {
    /// The value of a member, which is known from now on.
    func member(_ key: String, of object: Int) -> Int? {
        touch(object)
        guard let node = tape.member(key, of: object) else { return nil }
        tape.nodes[node].isKnown = true
        return node
    }

    /// Says that the closure that runs asks for this object's members, if for any.
    func touch(_ object: Int) {
        if touched.last != object { touched.append(object) }
    }

    /// Says that the members of this object, and of those in it, depend on a value that is missing or wrong.
    func leaveUndecided(_ object: Int) { examine(object, .undecided) }

    private func examine(_ object: Int, _ examination: JSONTape.Examination) {
        tape.nodes[object].examination = max(tape.nodes[object].examination, examination)
    }

    private func recordUnknownMembers() {
        var index = 0
        while index < tape.nodes.count, !isTruncated {
            let node = tape.nodes[index]
            if node.examination == .complete { recordUnknownMembers(of: index) }
            index = node.examination == .undecided ? Int(node.end) : index + 1
        }
    }

    private func recordUnknownMembers(of object: Int) {
        var value = object + 2
        while value < Int(tape.nodes[object].end), !isTruncated {
            if !tape.nodes[value].isKnown { record(.unknownField, at: value) }
            value = Int(tape.nodes[value].end) + 1
        }
    }
}
