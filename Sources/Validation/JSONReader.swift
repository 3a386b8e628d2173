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
    /// Nil when the value itself is wrong and was recorded; then every field is invalid.
    let node: Int?

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
        case .found(let node): JSONReader(reading: reading, node: node)
        case .missing: nil
        case .recorded: JSONReader(reading: reading, node: nil)
        }
    }

    /// A reader of the field, or nil when it is absent or `null`.
    ///
    /// - Parameter keys: The keys that lead to the field. If one before the last is absent, so is the field.
    /// - Returns: A reader of a value that is not `null`.
    public func nullable(_ keys: String...) -> JSONReader? {
        switch find(keys) {
        case .found(let node): reading.tape.nodes[node].kind == .null ? nil : JSONReader(reading: reading, node: node)
        case .missing: nil
        case .recorded: JSONReader(reading: reading, node: nil)
        }
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
        field(keys) { node throws(Problem) in
            guard reading.tape.nodes[node].kind == .object else { throw .wrongType("an object") }
            reading.examine(node)
            return reading.attempt { try read(JSONReader(reading: reading, node: node)) }
        }
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
        field(keys) { node throws(Problem) in
            guard reading.tape.nodes[node].kind == .array else { throw .wrongType("an array") }
            let actual = Int(reading.tape.nodes[node].count)
            if actual < count.lowerBound { throw .tooFewItems(count) }
            if actual > count.upperBound { throw .tooManyItems(limit: count.upperBound) }
            var elements: [Element] = []
            var item = node + 1
            while item < Int(reading.tape.nodes[node].end), !reading.isTruncated {
                if let element = reading.attempt({ try read(JSONReader(reading: reading, node: item)) }) {
                    elements.append(element)
                }
                item = Int(reading.tape.nodes[item].end)
            }
            return elements.count == actual ? elements : nil
        }
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
        guard let node, reading.attempt(rule) == false else { return }
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
        case missing(object: Int, key: String)
        case recorded
    }

    private func find(_ keys: [String]) -> Found {
        guard var node else { return .recorded }
        for key in keys {
            guard reading.tape.nodes[node].kind == .object else {
                reading.record(.wrongType("an object"), at: node)
                return .recorded
            }
            guard let value = reading.member(key, of: node) else { return .missing(object: node, key: key) }
            node = value
        }
        return .found(node)
    }

    /// Finds a required field and parses it; what `parse` throws is recorded, and nil says that it already was.
    func field<Value>(_ keys: [String], _ parse: (Int) throws(Problem) -> Value?) -> Field<Value> {
        var located: Int?
        var content: Value?
        switch find(keys) {
        case .found(let node):
            located = node
            do {
                content = try parse(node)
            } catch {
                reading.record(error, at: node)
            }
        case .missing(let object, let key): reading.record(.required, at: object, missing: [key])
        case .recorded: break
        }
        return Field(reading: reading, parent: node, node: located, content: content)
    }
}
