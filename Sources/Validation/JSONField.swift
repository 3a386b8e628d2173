public import ReliabilityCore

/// The result of reading a field: a checked value, or nothing if the field is missing or wrong.
///
/// The issue was recorded when the field was read. ``value`` then throws, so no code uses an unchecked value.
public struct JSONField<Value> {
    @usableFromInline let context: ParseContext
    /// The node of every field with content.
    @usableFromInline let node: Int?
    /// The object at which the path of the field begins.
    @usableFromInline let object: Int?
    @usableFromInline let content: Value?

    @usableFromInline
    init(context: ParseContext, node: Int?, object: Int?, content: Value?) {
        self.context = context
        self.node = node
        self.object = object
        self.content = content
    }

    /// The checked value.
    ///
    /// The error for a missing or wrong field ends the closure early. The closure's remaining fields are not read and
    /// not checked. Members of an object that was not read completely are not reported as unknown. Read all fields
    /// first and take their values last.
    ///
    /// - Throws: ``ValidationError`` without details if the field is missing or wrong. The application's own error if a
    ///   closure threw an error and no issue is recorded. Do not handle the error. `parse` reports the complete list in
    ///   its place.
    @inlinable public var value: Value {
        get throws {
            if let content { return content }
            throw context.fieldFailure
        }
    }

    /// Transforms the value, or records an issue if the closure returns `nil`.
    ///
    /// - Parameters:
    ///   - code: A stable code of the application, such as `order.unknown_country`.
    ///   - message: A sentence that is safe to show to a client.
    ///   - transform: The closure that returns the new value, or `nil` to reject the old value. The closure does not
    ///     run if the field is missing or wrong.
    /// - Returns: The field with the new value.
    public func compactMap<NewValue>(
        code: ErrorCode,
        message: String,
        _ transform: (Value) throws -> NewValue?
    ) -> JSONField<NewValue> {
        guard let content, let node else { return with(nil) }
        guard let result = context.attempt(transform, content) else { return with(nil) }
        if result == nil { context.record(Issue(code, message), at: node) }
        return with(result)
    }

    /// Transforms the value with a closure that may read further fields.
    ///
    /// The value can decide on the fields that are read:
    ///
    /// ```swift
    /// enum Method: String, CaseIterable { case card, transfer }
    /// enum Payment { case card(token: String), transfer(iban: String) }
    ///
    /// func payment(_ json: JSONReader) throws -> Payment {
    ///     let payment = json.choice("method", of: Method.self).map { method -> Payment in
    ///         switch method {
    ///         case .card: .card(token: try json.string("token", bytes: 1...64).value)
    ///         case .transfer: .transfer(iban: try json.string("iban", bytes: 15...34).value)
    ///         }
    ///     }
    ///     return try payment.value
    /// }
    /// ```
    ///
    /// A missing or wrong field leaves the expected members of its object undecided. No member of the object whose
    /// reader returned the field is then reported as unknown. The same holds for the objects inside. The closure must
    /// read from that object only. Members elsewhere may be reported as unknown.
    ///
    /// - Parameter transform: The closure that returns the new value. The closure does not run if the field is missing
    ///   or wrong.
    /// - Returns: The field with the new value.
    public func map<NewValue>(_ transform: (Value) throws -> NewValue) -> JSONField<NewValue> {
        guard let content else {
            if let object { context.markUndecided(object) }
            return with(nil)
        }
        return with(context.attempt(transform, content))
    }

    @inlinable
    func with<NewValue>(_ content: NewValue?) -> JSONField<NewValue> {
        JSONField<NewValue>(context: context, node: node, object: object, content: content)
    }
}
