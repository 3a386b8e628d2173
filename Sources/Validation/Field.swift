public import ReliabilityCore

/// One field of the input: its checked value, or the fact that it is missing or wrong.
///
/// What is wrong was recorded when the field was read. ``value`` throws then, so no code ever works on a value that was
/// not checked.
public struct Field<Value> {
    @usableFromInline let reading: Reading
    /// The node that holds the field; there is one whenever there is content.
    @usableFromInline let node: Int?
    /// The object that the field's keys lead from.
    @usableFromInline let object: Int?
    @usableFromInline let content: Value?

    @usableFromInline
    init(reading: Reading, node: Int?, object: Int?, content: Value?) {
        self.reading = reading
        self.node = node
        self.object = object
        self.content = content
    }

    /// The value.
    ///
    /// A value that is missing or wrong ends the closure, so what comes after it is not read. Fields that are not read
    /// are not checked, and members of an object whose fields may not all have been read are not reported as unknown.
    /// To report everything at once, read all fields first and take their values last.
    ///
    /// - Throws: A ``ValidationError`` without details if the field is missing or wrong. Let it pass: `parse` throws the
    ///   one that lists everything in its place.
    @inlinable public var value: Value {
        get throws {
            if let content { return content }
            throw reading.fieldFailure
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
        guard let content, let node else { return with(nil) }
        guard let result = reading.attempt(transform, content) else { return with(nil) }
        if result == nil { reading.record(Problem(code, message), at: node) }
        return with(result)
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
    /// If this field is missing or wrong, it is undecided which other members the object may have from whose reader the
    /// field was read. No member of that object, or of an object inside of it, is then reported as unknown. Let `read` read
    /// from that object only: what it would read elsewhere may be reported as unknown.
    ///
    /// - Parameter read: Reads the other fields. It is not run when this field is missing or wrong.
    /// - Returns: The field with what `read` returned.
    public func then<NewValue>(_ read: (Value) throws -> NewValue) -> Field<NewValue> {
        guard let content else {
            if let object { reading.leaveUndecided(object) }
            return with(nil)
        }
        return with(reading.attempt(read, content))
    }

    @inlinable
    func with<NewValue>(_ content: NewValue?) -> Field<NewValue> {
        Field<NewValue>(reading: reading, node: node, object: object, content: content)
    }
}
