import Synchronization

/// The lines to work on: from a file, from standard input, or made up.
struct Input: Sendable {
    let lines: AsyncStream<[UInt8]>
    /// Says that a line was taken.
    let taken: @Sendable () -> Void
    /// Ends the lines, although there may be more.
    let stop: @Sendable () -> Void
    /// Why the lines ended before the input did.
    let failure: @Sendable () -> FileError?

    init(_ options: Options) throws {
        if let path = options.input {
            let reader = try LineReader(path: path, limit: Order.lineBytes)
            lines = reader.lines
            taken = { reader.taken() }
            stop = { reader.stop() }
            failure = { reader.failure }
        } else {
            let rest = Mutex((generator: Generator(seed: options.seed, count: options.count), count: options.count))
            lines = AsyncStream {
                rest.withLock { rest in
                    guard rest.count > 0 else { return nil }
                    rest.count -= 1
                    return rest.generator.line()
                }
            }
            taken = {}
            stop = {}
            failure = { nil }
        }
    }
}
