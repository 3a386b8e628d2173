/// Whether a call may happen twice without harm.
///
/// Only the caller knows: a `GET`, a write with an idempotency key or a compare-and-set may; a plain `POST` may not.
public enum Idempotency: Hashable, Sendable {
    /// It may: it is tried again after any failure that can pass.
    case idempotent
    /// The call must not happen twice: it is tried again only if it is known that nothing was sent.
    ///
    /// The operation states so by throwing a ``NotSentError``, or an error whose
    /// ``ReliabilityCore/ReliabilityError/mayHaveBeenSent`` is `false` and which is no rejection. In a pipeline it is also
    /// known if a policy inside the retry rejected the attempt before the operation began. Every other error leaves it
    /// open, a rejection that comes from inside the operation included.
    ///
    /// Such a statement speaks for the whole operation. An operation that first sends and then connects to something
    /// else, which throws a `NotSentError`, has to catch that error.
    case notIdempotent
}
