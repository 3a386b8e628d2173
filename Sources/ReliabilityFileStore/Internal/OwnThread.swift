internal import ReliabilityCore
internal import ReliabilityStore

/// Runs a body that blocks for a long time on a thread of its own, and not on the cooperative thread pool.
///
/// - Throws: The error of the body, or `unavailable` if the system rejects the thread.
func onOwnThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws(StoreError) -> Result
) async throws(StoreError) -> Result {
    // The lock is for the thread sanitizer: a continuation that is resumed before its task waits is not seen as an
    // ordering of the two threads.
    let outcome = Lock(Swift.Result<Result, StoreError>.failure(.noThread))
    await withCheckedContinuation { continuation in
        let isStarted = tryToStartThread {
            blockFileSizeSignal()
            let result: Swift.Result<Result, StoreError>
            do throws(StoreError) { result = .success(try body()) } catch { result = .failure(error) }
            outcome.withLock { $0 = result }
            continuation.resume()
        }
        if !isStarted { continuation.resume() }
    }
    return try outcome.withLock { $0 }.get()
}
