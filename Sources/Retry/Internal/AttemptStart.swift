/// The beginning of an attempt.
@usableFromInline
struct AttemptStart {
    /// The reading of the policy's clock.
    let reading: Int64
    /// How often the operation of the pipeline around the policy had begun; `nil` without a pipeline, or where nobody asks.
    let sends: Int?
}
