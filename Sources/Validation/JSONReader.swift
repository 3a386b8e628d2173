public import ReliabilityCore

/// A reader for the fields of a JSON value.
///
/// The value is the body, an object in the body, or an item of an array.
///
/// Every reading method takes the path to a field as a list of keys. An empty list reads the value itself. A single key
/// reads a member of the object, and each further key a member of the preceding member. Reading never throws and
/// returns a ``JSONField``. An issue is recorded with its pointer.
///
/// A field is required unless the closure reads the field through ``optional(_:)`` or ``nullable(_:)``. `null` is a
/// value and the wrong value for every type. Only ``nullable(_:)`` treats `null` as an absent field.
///
/// A reader is valid only inside the closure that received the reader.
public struct JSONReader {
    let context: ParseContext
    /// The node of the value, or `nil` if the value is wrong and its issue is recorded.
    let node: Int?
    /// The object of the reader that created this reader.
    let parentObject: Int?
    /// The number of arrays and objects around the value.
    let level: Int

    init(_ context: ParseContext, _ node: Int?, parentObject: Int?, level: Int) {
        self.context = context
        self.node = node
        self.parentObject = parentObject
        self.level = level
    }

    /// Returns a reader of a field, or `nil` if the field is absent.
    ///
    /// ```swift
    /// func phoneNumber(_ order: JSONReader) throws -> String? {
    ///     let phone = order.optional("customer", "phone")?.phone()
    ///     return try phone?.value
    /// }
    /// ```
    ///
    /// - Parameter keys: The path to the field. A field of an absent object is absent.
    /// - Returns: A reader, even if the value is `null`.
    public func optional(_ keys: String...) -> JSONReader? {
        switch find(keys) {
        case .found(let node): JSONReader(context, node, parentObject: object, level: level + keys.count)
        case .missing: nil
        case .recorded: invalidReader
        }
    }

    /// Returns a reader of a field, or `nil` if the field is absent or `null`.
    ///
    /// - Parameter keys: The path to the field. A field of an absent object is absent.
    /// - Returns: A reader of a value other than `null`.
    public func nullable(_ keys: String...) -> JSONReader? {
        switch find(keys) {
        case .found(let node):
            context.tape.nodes[node].kind == .null
                ? nil : JSONReader(context, node, parentObject: object, level: level + keys.count)
        case .missing: nil
        case .recorded: invalidReader
        }
    }

    /// Returns the value in the canonical form of RFC 8785 as the fingerprint of a request.
    ///
    /// The canonical form ignores the order of keys and white space as well as the notation of numbers and escapes. A
    /// retry whose client encodes the request anew has the same canonical form:
    ///
    /// ```swift
    /// let (order, fingerprint) = try Validator().parse(body) { json in
    ///     (try Order(json), json.canonicalBytes())
    /// }
    /// let receipt = try await dedup.run("charge", [customerID, idempotencyKey], fingerprint: fingerprint) { _ in
    ///     try await charge(order, key: idempotencyKey)
    /// }
    /// ```
    ///
    /// The form contains all members, including members that no closure reads. Numbers with a fraction or an exponent
    /// are written as the nearest `Double`, as the RFC requires. Whole numbers are written exactly. The RFC has no
    /// exact form for whole numbers that no `Double` represents and for numbers outside the range of `Double`. Such a
    /// number keeps its original text.
    ///
    /// - Returns: JSON in UTF-8, at most six times as long as the value. Empty if the value is missing or wrong.
    /// - Complexity: O(*n* log *n*), where *n* is the length of the value.
    public func canonicalBytes() -> [UInt8] {
        node.map { CanonicalJSON.bytes(of: $0, in: context.tape) } ?? []
    }

    /// A Boolean value that indicates whether the value is `null`.
    ///
    /// With ``optional(_:)``, the property distinguishes a field that is `null` from an absent field.
    public var isNull: Bool { node.map { context.tape.nodes[$0].kind == .null } ?? false }

    /// Reads an object.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - read: The closure that reads the object's fields. The closure runs only if the field is an object.
    /// - Returns: The value that `read` returned.
    public func object<Value>(_ keys: String..., as read: (JSONReader) throws -> Value) -> JSONField<Value> {
        let location = container(keys, .object)
        guard location.isValid, let node = location.node else { return JSONField(context, location, nil) }
        let reader = JSONReader(context, node, parentObject: location.object, level: level + keys.count)
        return JSONField(context, location, context.attempt(read, reader, reading: node))
    }

    /// Reads an array.
    ///
    /// - Parameters:
    ///   - keys: The path to the field.
    ///   - count: The accepted numbers of items.
    ///   - read: The closure that reads an item. The closure runs for every item, even after an invalid item. The
    ///     closure does not run if the number of items is wrong or once the list of issues is full.
    /// - Returns: The values that `read` returned, in the order of the items.
    public func array<Element>(
        _ keys: String...,
        count: ClosedRange<Int>,
        of read: (JSONReader) throws -> Element
    ) -> JSONField<[Element]> {
        let location = container(keys, .array, count: count)
        guard location.isValid, let node = location.node else { return JSONField(context, location, nil) }
        var elements: [Element] = []
        var item = node + 1
        while item < Int(context.tape.nodes[node].end), !context.isTruncated {
            let reader = JSONReader(context, item, parentObject: location.object, level: level + keys.count + 1)
            if let element = context.attempt(read, reader) { elements.append(element) }
            item = Int(context.tape.nodes[item].end)
        }
        let isComplete = elements.count == Int(context.tape.nodes[node].count)
        return JSONField(context, location, isComplete ? elements : nil)
    }

    /// Checks a rule of the application, such as a rule about two fields.
    ///
    /// The rule ends early, without an issue of its own, if a ``JSONField/value`` in the rule is missing or wrong.
    ///
    /// ```swift
    /// func days(_ stay: JSONReader) throws -> (from: Int, until: Int) {
    ///     let from = stay.integer("from", in: 1...365)
    ///     let until = stay.integer("until", in: 1...365)
    ///     stay.check("until", code: "stay.ends_before_it_begins", message: "Must be after the first day.") {
    ///         try from.value < until.value
    ///     }
    ///     return try (from.value, until.value)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - keys: The path at which the issue is reported.
    ///   - code: A stable code of the application.
    ///   - message: A sentence that is safe to show to a client.
    ///   - rule: The closure that returns `false` to reject the input. The closure does not run if the reader's own
    ///     value is wrong.
    public func check(_ keys: String..., code: ErrorCode, message: String, _ rule: () throws -> Bool) {
        guard let node, context.attempt({ try rule() }, ()) == false else { return }
        var place = node
        for (position, key) in keys.enumerated() {
            guard context.tape.nodes[place].kind == .object, let value = context.tape.member(key, of: place) else {
                return context.record(Issue(code, message), at: place, missing: keys[position...])
            }
            place = value
        }
        context.record(Issue(code, message), at: place)
    }
}

// Finding fields and recording issues.
extension JSONReader {
    private enum Found {
        case found(Int)
        case missing
        case recorded
    }

    /// The object that is read, or the parent object if the value is not an object.
    private var object: Int? {
        if let node, context.tape.nodes[node].kind == .object { return node }
        return parentObject
    }

    /// A reader of a wrong value, or `nil` if this reader's own value is wrong.
    // The `nil` ends the recursion of a reader that follows a chain.
    private var invalidReader: JSONReader? {
        node == nil ? nil : JSONReader(context, nil, parentObject: object, level: level)
    }

    private func find(_ keys: [String], isRequired: Bool = false) -> Found {
        guard var node else { return .recorded }
        for key in keys {
            guard context.tape.nodes[node].kind == .object else {
                context.record(.wrongType("an object"), at: node)
                return .recorded
            }
            guard let value = context.member(key, of: node) else {
                if isRequired { context.record(.required, at: node, missing: [key]) }
                return .missing
            }
            node = value
        }
        guard level + keys.count <= ParseContext.maxReadLevel else {
            context.record(.tooDeep(limit: ParseContext.maxReadLevel), at: node)
            return .recorded
        }
        return .found(node)
    }

    /// Finds a required field and records the issue that parsing its node throws.
    ///
    /// The issue is already recorded if `parse` returns `nil`.
    func field<Value>(_ keys: [String], _ parse: (Int) throws(Issue) -> Value?) -> JSONField<Value> {
        let location = find(required: keys)
        guard location.isValid, let node = location.node else { return JSONField(context, location, nil) }
        do {
            return JSONField(context, location, try parse(node))
        } catch {
            context.record(error, at: node)
            return JSONField(context, location, nil)
        }
    }

    /// Finds a required array or object, or records an issue.
    private func container(_ keys: [String], _ kind: JSONTape.Kind, count: ClosedRange<Int>? = nil) -> FieldLocation {
        var location = find(required: keys)
        guard location.isValid, let node = location.node else { return location }
        let found = context.tape.nodes[node]
        let issue: Issue? =
            if found.kind != kind {
                .wrongType(kind == .array ? "an array" : "an object")
            } else if let count, found.count < count.lowerBound {
                .tooFewItems(atLeast: count.lowerBound)
            } else if let count, found.count > count.upperBound {
                .tooManyItems(limit: count.upperBound)
            } else {
                nil
            }
        if let issue {
            context.record(issue, at: node)
            location.isValid = false
        }
        return location
    }

    private func find(required keys: [String]) -> FieldLocation {
        // With an empty path the value itself is the field, which is a member of the parent object.
        let object = keys.isEmpty ? parentObject : object
        return switch find(keys, isRequired: true) {
        case .found(let node): FieldLocation(node: node, object: object, isValid: true)
        case .missing, .recorded: FieldLocation(object: object)
        }
    }
}

/// The location of a required field.
struct FieldLocation {
    var node: Int?
    /// The object at which the path of the field begins.
    var object: Int?
    var isValid = false
}

extension JSONField {
    init(_ context: ParseContext, _ location: FieldLocation, _ content: Value?) {
        self.init(context: context, node: location.node, object: location.object, content: content)
    }
}
