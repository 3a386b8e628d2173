public import ReliabilityCore

/// One field of the input: its checked value, or the fact that it is missing or wrong.
///
/// What is wrong was recorded when the field was read. ``value`` throws then, so no code ever works on a value that was
/// not checked.
public struct Field<Value> {
    let reading: Reading
    /// The node that the field was asked of.
    let parent: Int?
    /// The node that holds the field; there is one whenever there is content.
    let node: Int?
    let content: Value?

    /// The value.
    ///
    /// Take it once all fields are read. What comes after a value that throws is not read, so it is not checked, and
    /// its keys are taken for unknown ones. Where a field decides which others there are, use ``then(_:)``.
    ///
    /// - Throws: What `parse` will throw, when the field is missing or wrong. Let it pass.
    public var value: Value {
        get throws {
            if let content { return content }
            throw reading.failure ?? ValidationError([])
        }
    }

    /// Makes a value of another type, or records that this is not one.
    ///
    /// - Parameters:
    ///   - code: A stable code of your own, such as `order.unknown_country`.
    ///   - message: One sentence that is safe to show to a client.
    ///   - transform: Returns nil to refuse the value. It is not run when the field is missing or wrong.
    /// - Returns: The field with the new value.
    public func refined<NewValue>(
        code: ErrorCode,
        message: String,
        _ transform: (Value) throws -> NewValue?
    ) -> Field<NewValue> {
        guard let content, let node else { return invalid() }
        guard let result = reading.attempt({ try transform(content) }) else { return invalid() }
        if result == nil { reading.record(Problem(code, message), at: node) }
        return Field<NewValue>(reading: reading, parent: parent, node: node, content: result)
    }

    /// Reads on, in a way that depends on this field's value.
    ///
    /// ```swift
    /// let method = payment.choice("method", of: Method.self).then { method in
    ///     switch method {
    ///     case .card: .card(try payment.string("token", bytes: 1...64).value)
    ///     case .transfer: .transfer(try payment.string("iban", bytes: 15...34).value)
    ///     }
    /// }
    /// ```
    ///
    /// When this field is missing or wrong, nobody knows which other fields the object should have, so none of them is
    /// reported as unknown.
    ///
    /// - Parameter read: Reads the other fields. It is not run when this field is missing or wrong.
    /// - Returns: The field with what `read` returned.
    public func then<NewValue>(_ read: (Value) throws -> NewValue) -> Field<NewValue> {
        guard let content else {
            if let parent { reading.leaveIncomplete(parent) }
            return invalid()
        }
        let result = reading.attempt { try read(content) }
        return Field<NewValue>(reading: reading, parent: parent, node: node, content: result)
    }

    private func invalid<NewValue>() -> Field<NewValue> {
        Field<NewValue>(reading: reading, parent: parent, node: nil, content: nil)
    }
}
