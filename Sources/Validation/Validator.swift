internal import ReliabilityCore

/// Parses the bytes of a JSON body into a checked value and reports every invalid field at once.
///
/// The bytes are parsed once. The strict parser bounds depth, size and work. The checked value is the returned value. A
/// closure reads the fields. Every invalid field is recorded and reading continues, so the client receives all invalid
/// fields in one response:
///
/// ```swift
/// let payment = try Validator().parse(body) { payment in
///     let email = payment.email("customer", "email")
///     let cents = payment.integer("amount_cents", in: 1...10_000_000)
///     return try Payment(email: email.value, cents: cents.value)
/// }
/// ```
///
/// Each reading method of ``JSONReader`` returns a ``JSONField``. ``JSONField/value`` throws if the field is missing or
/// wrong, so no code uses an unchecked value. Read all fields first and take their values last. Fields after a value
/// that throws are not read and not reported.
///
/// The input must be JSON by RFC 8259 in UTF-8. The parser rejects byte order marks, comments, lone surrogates, U+0000
/// in strings and duplicate keys in an object. Keys are compared byte by byte, never by Unicode equivalence.
public struct Validator: Hashable, Sendable {
    /// The treatment of an object's members that the closure did not read.
    public enum UnknownKeys: Hashable, Sendable {
        /// An unknown member is reported as `validation.unknown_field`.
        ///
        /// An object is examined if a closure has read its members and has returned. If the closure threw, members that
        /// were not read yet may be known and are not reported. The validator reports unknown members once the values
        /// that ended the closure are right.
        case reject
        /// An unknown member is skipped.
        case ignore
    }

    /// The limits and the treatment of unknown members.
    public let configuration: Configuration

    /// Creates a validator.
    ///
    /// - Parameter configuration: The limits and the treatment of unknown members. Defaults to
    ///   ``Configuration/standard``.
    /// - Precondition: The configuration is valid. ``Configuration/validate()`` lists the problems of a configuration.
    public init(_ configuration: Configuration = .standard) {
        requireValid(configuration.validate)
        self.configuration = configuration
    }

    /// Parses a body and reads a value from the document.
    ///
    /// - Parameters:
    ///   - bytes: The body. A body over the limit is rejected by its length alone.
    ///   - read: The closure or initializer, such as `Payment.init`, that reads the fields and creates the value. The
    ///     closure runs once, and only on well-formed JSON.
    /// - Returns: The value that `read` returned.
    /// - Throws: ``ValidationError`` if the body is not accepted as JSON or a field is missing or wrong. Otherwise the
    ///   error that `read` threw. Otherwise ``ValidationError`` if a member is unknown. An unknown member never
    ///   replaces the application's own error.
    public func parse<Value>(
        _ bytes: some Collection<UInt8>,
        as read: (JSONReader) throws -> Value
    ) throws -> Value {
        guard bytes.count <= configuration.maxBodyBytes else {
            throw ValidationError(maxBodyBytes: configuration.maxBodyBytes)
        }
        let context: ParseContext
        do {
            let tape = try JSONParser.parse(Array(bytes), configuration: configuration)
            context = ParseContext(tape, maxIssues: configuration.maxIssues)
        } catch {
            throw ValidationError([error.detail])
        }
        let value = context.attempt(read, JSONReader(context, 0, parentObject: nil, level: 0))
        if let failure = context.failure(configuration.unknownKeys) { throw failure }
        // Without a failure there is a value: `attempt` returns `nil` only after it recorded an error.
        guard let value else { throw ValidationError([]) }
        return value
    }
}
