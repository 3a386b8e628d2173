/// Whether a call may happen twice without harm.
///
/// Only the caller knows: a `GET`, a write with an idempotency key or a compare-and-set may; a plain `POST` may not.
///
/// Of nested retries, the outer one says it of everything inside: an idempotent retry around a call that is not idempotent
/// may make this call again.
public enum Idempotency: Hashable, Sendable {
    /// It may: it is tried again after any failure that can pass.
    case idempotent
    /// It may not: it is tried again only when it surely was not sent.
    ///
    /// An error says so itself (``ReliabilityCore/ReliabilityError/mayHaveBeenSent`` is false), as the refusals of
    /// this library do, or the operation says it by throwing a ``NotSentError``. Every other error leaves it open.
    ///
    /// The error speaks for the whole operation. One that first sends and then calls something else, whose breaker or
    /// limiter may refuse, does not let such a refusal through as it is: it would be taken for “nothing was sent”.
    case notIdempotent
}
