internal import ReliabilityCore

/// Turns the bytes of a JSON body into a value of your type, or says everything that is wrong with them.
///
/// The bytes are parsed once, by a strict parser of bounded depth, size and work, and the value that was checked is the
/// value you get. A closure reads the fields; each that is wrong is recorded and reading goes on, so that the client
/// hears of all of them at once:
///
/// ```swift
/// let payment = try Validator().parse(body) { payment in
///     let email = payment.email("customer", "email")
///     let cents = payment.integer("amount_cents", in: 1...10_000_000)
///     return try Payment(email: email.value, cents: cents.value)
/// }
/// ```
///
/// A field is read into a ``Field``, whose ``Field/value`` throws when it is missing or wrong: code after it never sees
/// a value that was not checked. Read all fields first and take their values last: what comes after a value that throws
/// is not read, and so is not part of the answer.
///
/// JSON is RFC 8259 in UTF-8 and nothing else: no byte order mark, no comments, no lone surrogates, no U+0000 in
/// strings, no key twice in one object. Keys compare by their bytes, never by Unicode equivalence.
public struct Validator: Hashable, Sendable {
    /// What happens to a member of an object that the closure did not ask for.
    public enum UnknownKeys: Hashable, Sendable {
        /// It is reported as `validation.unknown_field`.
        ///
        /// Only objects that a closure looked into are examined, and only when that closure has returned. If it threw,
        /// because a value was missing or wrong, members that it did not ask for may be known, and are not reported. They
        /// are once that value is right.
        case refuse
        /// It is skipped.
        case ignore
    }

    /// How large an input may be.
    public let limits: Limits
    /// What happens to members that nobody asked for.
    public let unknownKeys: UnknownKeys

    /// Creates a validator.
    ///
    /// - Parameters:
    ///   - limits: How large an input may be.
    ///   - unknownKeys: What happens to members that nobody asked for.
    public init(limits: Limits = Limits(), unknownKeys: UnknownKeys = .refuse) {
        self.limits = limits
        self.unknownKeys = unknownKeys
    }

    /// Parses `bytes` and reads a value from them.
    ///
    /// - Parameters:
    ///   - bytes: The body. One longer than the limit is refused by its length alone.
    ///   - read: Reads the fields and makes the value, or an initialiser such as `Payment.init`. It runs once, and only
    ///     on well-formed JSON.
    /// - Returns: What `read` returned, when nothing was wrong.
    /// - Throws: ``ValidationError`` if a field was missing or wrong, otherwise what `read` threw, otherwise
    ///   ``ValidationError`` if a member is unknown. An error of your own is never replaced by an unknown member.
    public func parse<Value>(
        _ bytes: some Collection<UInt8>,
        as read: (JSONReader) throws -> Value
    ) throws -> Value {
        guard bytes.count <= limits.bodyBytes else {
            throw ValidationError(bodyLimit: limits.bodyBytes)
        }
        let reading: Reading
        do {
            reading = Reading(try JSONParser.parse(Array(bytes), limits: limits), issueLimit: limits.issues)
        } catch {
            throw ValidationError([error.detail])
        }
        let value = reading.attempt(read, JSONReader(reading, 0, from: nil, level: 0))
        if let failure = reading.failure(unknownKeys) { throw failure }
        // Without a failure there is a value: `attempt` returns nil only when it recorded one.
        guard let value else { throw ValidationError([]) }
        return value
    }
}
