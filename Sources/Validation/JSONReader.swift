public import ReliabilityCore

/// Reads the fields of one JSON value: of the body, of an object in it, or of an item of an array.
///
/// Every method that reads takes the keys that lead to the field: none for the value itself, one for a member, several
/// for a member of a member. It returns a ``Field`` and never throws; what is missing or wrong is recorded with its
/// pointer.
///
/// A field is required unless it is asked for through ``optional(_:)`` or ``nullable(_:)``. `null` is a value like any
/// other and the wrong one for every type; only ``nullable(_:)`` takes it for an absent field.
///
/// A reader is of use only within the closure that it was given to.
public struct JSONReader {
    let reading: Reading
    /// The value; nil when it is wrong and was recorded, and then every field is invalid.
    let node: Int?
    /// The object of the reader that this one was made from.
    let base: Int?
    /// How many arrays and objects are around the value.
    let level: Int

    init(_ reading: Reading, _ node: Int?, from base: Int?, level: Int) {
        self.reading = reading
        self.node = node
        self.base = base
        self.level = level
    }

    /// A reader of the field, or nil when it is absent.
    ///
    /// ```swift
    /// let phone = order.optional("customer", "phone")?.phone()
    /// return try Order(phone: phone?.value)
    /// ```
    ///
    /// - Parameter keys: The keys that lead to the field. If one before the last is absent, so is the field.
    /// - Returns: A reader, also for `null`.
    public func optional(_ keys: String...) -> JSONReader? {
        switch find(keys) {
        case .found(let node): JSONReader(reading, node, from: object, level: level + keys.count)
        case .missing: nil
        case .recorded: readerOfNothing
        }
    }

    /// A reader of the field, or nil when it is absent or `null`.
    ///
    /// - Parameter keys: The keys that lead to the field. If one before the last is absent, so is the field.
    /// - Returns: A reader of a value that is not `null`.
    public func nullable(_ keys: String...) -> JSONReader? {
        switch find(keys) {
        case .found(let node):
            reading.tape.nodes[node].kind == .null
                ? nil : JSONReader(reading, node, from: object, level: level + keys.count)
        case .missing: nil
        case .recorded: readerOfNothing
        }
    }

    /// The value in canonical form, as RFC 8785 defines it: the fingerprint of a request.
    ///
    /// Two bodies that say the same have the same canonical form, whatever the order of their keys, the spaces between
    /// them and the notation of numbers and escapes. So a request that is retried by a client that encodes it anew is
    /// recognised as the same:
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
    /// All members are part of the form, also those that nobody asks for. Numbers are compared as they are read: those
    /// with a fraction or an exponent as the nearest `Double`, as the RFC demands, and whole numbers exactly. Where the
    /// RFC has no exact form, which is for whole numbers that no `Double` can hold and for numbers beyond the range of
    /// `Double`, the form keeps the number as it was written.
    ///
    /// - Returns: JSON in UTF-8, at most six times as long as the value; empty if the value is missing or wrong.
    /// - Complexity: O(*n* log *n*) in the length of the value.
    public func canonicalBytes() -> [UInt8] {
        node.map { CanonicalJSON.bytes(of: $0, in: reading.tape) } ?? []
    }

    /// Whether the value is `null`; with ``optional(_:)`` this tells "set to nothing" from "not mentioned".
    public var isNull: Bool { node.map { reading.tape.nodes[$0].kind == .null } ?? false }

    /// Reads an object.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - read: Reads the object's fields; run only when there is an object.
    /// - Returns: The field with what `read` returned.
    public func object<Value>(_ keys: String..., as read: (JSONReader) throws -> Value) -> Field<Value> {
        let place = container(keys, .object)
        guard place.isRight, let node = place.node else { return Field(reading, place, nil) }
        let reader = JSONReader(reading, node, from: place.object, level: level + keys.count)
        return Field(reading, place, reading.attempt(read, reader, reading: node))
    }

    /// Reads an array.
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to the field.
    ///   - count: How many items there may be.
    ///   - read: Reads one item. It is run for every item, also after one that is wrong, but not when the number of
    ///     items is wrong or the error already lists as much as it may.
    /// - Returns: The field with what `read` returned for each item.
    public func array<Element>(
        _ keys: String...,
        count: ClosedRange<Int>,
        of read: (JSONReader) throws -> Element
    ) -> Field<[Element]> {
        let place = container(keys, .array, count: count)
        guard place.isRight, let node = place.node else { return Field(reading, place, nil) }
        var elements: [Element] = []
        var item = node + 1
        while item < Int(reading.tape.nodes[node].end), !reading.isTruncated {
            let reader = JSONReader(reading, item, from: place.object, level: level + keys.count + 1)
            if let element = reading.attempt(read, reader) { elements.append(element) }
            item = Int(reading.tape.nodes[item].end)
        }
        return Field(reading, place, elements.count == Int(reading.tape.nodes[node].count) ? elements : nil)
    }

    /// Checks a rule of your own, such as one about two fields.
    ///
    /// The rule is run if and only if every field is right whose ``Field/value`` it takes.
    ///
    /// ```swift
    /// stay.check("until", code: "stay.ends_before_it_begins", message: "Must be after the first day.") {
    ///     try from.value < until.value
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - keys: The keys that lead to what is wrong if the rule fails.
    ///   - code: A stable code of your own.
    ///   - message: One sentence that is safe to show to a client.
    ///   - rule: Returns false to refuse.
    public func check(_ keys: String..., code: ErrorCode, message: String, _ rule: () throws -> Bool) {
        guard let node, reading.attempt({ try rule() }, ()) == false else { return }
        var place = node
        for (position, key) in keys.enumerated() {
            guard reading.tape.nodes[place].kind == .object, let value = reading.tape.member(key, of: place) else {
                return reading.record(Problem(code, message), at: place, missing: keys[position...])
            }
            place = value
        }
        reading.record(Problem(code, message), at: place)
    }
}

// How every field is found and recorded.
extension JSONReader {
    private enum Found {
        case found(Int)
        case missing
        case recorded
    }

    /// The object that is read; if the value is none, that of the reader that this one was made from.
    private var object: Int? {
        if let node, reading.tape.nodes[node].kind == .object { return node }
        return base
    }

    /// What stands for a value that is wrong; nil within one, so that a reader that follows a chain comes to an end.
    private var readerOfNothing: JSONReader? {
        node == nil ? nil : JSONReader(reading, nil, from: object, level: level)
    }

    private func find(_ keys: [String], isRequired: Bool = false) -> Found {
        guard var node else { return .recorded }
        for key in keys {
            guard reading.tape.nodes[node].kind == .object else {
                reading.record(.wrongType("an object"), at: node)
                return .recorded
            }
            guard let value = reading.member(key, of: node) else {
                if isRequired { reading.record(.required, at: node, missing: [key]) }
                return .missing
            }
            node = value
        }
        guard level + keys.count <= Reading.levelLimit else {
            reading.record(.tooDeep(limit: Reading.levelLimit), at: node)
            return .recorded
        }
        return .found(node)
    }

    /// Finds a required field and parses it; what `parse` throws is recorded, and nil says that it already was.
    func field<Value>(_ keys: [String], _ parse: (Int) throws(Problem) -> Value?) -> Field<Value> {
        let place = find(required: keys)
        guard place.isRight, let node = place.node else { return Field(reading, place, nil) }
        do {
            return Field(reading, place, try parse(node))
        } catch {
            reading.record(error, at: node)
            return Field(reading, place, nil)
        }
    }

    /// Finds a required array or object; what is wrong is recorded.
    private func container(_ keys: [String], _ kind: JSONTape.Kind, count: ClosedRange<Int>? = nil) -> Place {
        var place = find(required: keys)
        guard place.isRight, let node = place.node else { return place }
        let found = reading.tape.nodes[node]
        let problem: Problem? =
            if found.kind != kind {
                .wrongType(kind == .array ? "an array" : "an object")
            } else if let count, found.count < count.lowerBound {
                .tooFewItems(atLeast: count.lowerBound)
            } else if let count, found.count > count.upperBound {
                .tooManyItems(limit: count.upperBound)
            } else {
                nil
            }
        if let problem {
            reading.record(problem, at: node)
            place.isRight = false
        }
        return place
    }

    private func find(required keys: [String]) -> Place {
        // Without keys the value itself decides, and it is a member of the object that it was reached from.
        let object = keys.isEmpty ? base : object
        return switch find(keys, isRequired: true) {
        case .found(let node): Place(node: node, object: object, isRight: true)
        case .missing, .recorded: Place(object: object)
        }
    }
}

/// Where a required field is.
struct Place {
    var node: Int?
    /// The object that its keys lead from.
    var object: Int?
    var isRight = false
}

extension Field {
    init(_ reading: Reading, _ place: Place, _ content: Value?) {
        self.init(reading: reading, node: place.node, object: place.object, content: content)
    }
}
