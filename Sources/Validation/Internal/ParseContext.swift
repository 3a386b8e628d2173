internal import ReliabilityCore

/// The state of one call of `parse`: the document, the members that were read, and the recorded issues.
@usableFromInline
final class ParseContext {
    /// The maximum number of arrays and objects around a value that is read.
    // Recursive readers use stack for each level. In a debug build 64 levels take less than 192 KB. The smallest usual
    // stack has 512 KB.
    static let maxReadLevel = 64

    private(set) var tape: JSONTape
    private var issues: [RecordedIssue] = []
    /// A Boolean value that indicates whether an issue was dropped because the list was full.
    private(set) var isTruncated = false
    private var thrown: (any Error)?
    private let maxIssues: Int

    /// The number of nested closures of the caller that are running.
    private var depth = 0
    /// The number of outermost running closures that did not read all fields.
    private var incompleteDepth = 0
    /// The objects whose members the running closures have read, in the order of the closures.
    private var visited: [Int] = []

    /// An issue and its place in the document.
    private struct RecordedIssue {
        /// The node or the object of a missing field.
        let node: Int
        let missingKeys: ArraySlice<String>
        let issue: Issue
    }

    init(_ tape: JSONTape, maxIssues: Int) {
        self.tape = tape
        self.maxIssues = maxIssues
    }

    /// Runs a closure of the caller and returns its value, or `nil` if the closure threw.
    func attempt<Input, Value>(_ body: (Input) throws -> Value, _ input: Input, reading object: Int? = nil) -> Value? {
        let firstVisited = visited.count
        depth += 1
        if let object { visit(object) }
        defer { finish(firstVisited) }
        do {
            return try body(input)
        } catch {
            // A field's `value` threw and an issue is recorded, or `parse` has to throw this error.
            if thrown == nil { thrown = error }
            // The closure may have used readers of the enclosing closures, whose objects are then incomplete as well.
            incompleteDepth = depth
            return nil
        }
    }

    /// Ends the innermost closure with the objects that begin at an index of `visited`.
    private func finish(_ firstVisited: Int) {
        let examination: JSONTape.Examination = incompleteDepth >= depth ? .incomplete : .complete
        for object in visited[firstVisited...] { examine(object, examination) }
        visited.removeSubrange(firstVisited...)
        depth -= 1
        incompleteDepth = min(incompleteDepth, depth)
    }

    /// The error that `value` throws for a field without a value.
    // Every field of a long array may throw the error, so the error has no details.
    @usableFromInline var fieldFailure: any Error {
        if issues.isEmpty, let thrown { return thrown }
        return Self.withoutDetails
    }

    private static let withoutDetails = ValidationError([])

    /// Returns the error for `parse` to throw after reading, or `nil` if the input is valid.
    func failure(_ unknownKeys: Validator.UnknownKeys) -> (any Error)? {
        if issues.isEmpty, let thrown { return thrown }
        if unknownKeys == .reject { recordUnknownMembers() }
        if issues.isEmpty { return nil }
        let order = issues.indices.sorted { (issues[$0].node, $0) < (issues[$1].node, $1) }
        let sorted = order.map { issues[$0] }
        let details = zip(sorted, tape.pointers(to: sorted.map(\.node))).map { recorded, pointer in
            var pointer = pointer
            for key in recorded.missingKeys { pointer.append(key.utf8) }
            return ErrorDetail(pointer: pointer.text, code: recorded.issue.code, message: recorded.issue.message)
        }
        return ValidationError(details, isTruncated: isTruncated)
    }

    /// Records an issue at a node or at a missing member of the node.
    func record(_ issue: Issue, at node: Int, missing keys: ArraySlice<String> = []) {
        guard !isTruncated else { return }
        // Two fields of a missing object are a single issue.
        if issues.contains(where: { $0.node == node && $0.issue == issue && $0.missingKeys == keys }) { return }
        if issues.count < maxIssues {
            issues.append(RecordedIssue(node: node, missingKeys: keys, issue: issue))
        } else {
            isTruncated = true
        }
    }
}

// Known and unknown members.
extension ParseContext {
    /// Returns the value of a member and marks the member as known.
    func member(_ key: String, of object: Int) -> Int? {
        visit(object)
        guard let node = tape.member(key, of: object) else { return nil }
        tape.nodes[node].isKnown = true
        return node
    }

    /// Records that the running closure reads members of an object.
    func visit(_ object: Int) {
        if visited.last != object { visited.append(object) }
    }

    /// Records that the expected members of an object and of the objects inside depend on a missing or wrong field.
    func markUndecided(_ object: Int) { examine(object, .undecided) }

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
