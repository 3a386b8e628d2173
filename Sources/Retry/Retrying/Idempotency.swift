/// The effect of making a call twice.
///
/// The caller states whether a call is idempotent. A `GET`, a write with an idempotency key and a compare-and-set are
/// idempotent. A plain `POST` is not.
///
/// The idempotency of an outer retry applies to every call inside. An idempotent retry around a call that is not
/// idempotent can repeat that call.
public enum Idempotency: Hashable, Sendable {
    /// The call has the same effect when made twice, and is retried after every failure that can pass.
    case idempotent
    /// The call must not happen twice, and is retried only if nothing was sent.
    ///
    /// The operation states that nothing was sent by throwing a ``NotSentError``. Another error states the same if its
    /// ``ReliabilityCore/ReliabilityError/mayHaveBeenSent`` is `false` and the error is not a rejection. In a pipeline,
    /// nothing was sent if a policy inside the retry rejected the attempt before the operation began. After every other
    /// error the call may have been sent. This includes a rejection from inside the operation.
    ///
    /// The statement covers the whole operation. An operation that sends first and then connects to another service
    /// must catch a `NotSentError` of the second connection.
    case notIdempotent
}
