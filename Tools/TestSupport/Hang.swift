/// Suspends until the current task is cancelled.
///
/// - Throws: `CancellationError`.
package func hang() async throws {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in stream {}
    withExtendedLifetime(continuation) {}
    throw CancellationError()
}
