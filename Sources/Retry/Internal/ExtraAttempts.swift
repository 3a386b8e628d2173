/// Whether the current task is itself an extra attempt: a retry's second or later one, or a hedge.
///
/// Retries and hedges inside it then make one attempt each. So of two nested retries that make at most a and b attempts,
/// both together make at most a + b − 1.
enum ExtraAttempts {
    @TaskLocal static var areSuppressed = false
}
