/// The start of an attempt.
@usableFromInline
struct AttemptStart {
    /// The reading of the policy's clock.
    let reading: Int64
    /// The count of the pipeline's ``SendTracker``, or `nil` without a pipeline or if the policy does not track sends.
    let sends: Int?
}
