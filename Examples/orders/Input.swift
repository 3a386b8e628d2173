/// The lines to work on: from a file, from standard input, or made up.
struct Input: Sendable {
    let lines: AsyncStream<[UInt8]>
    /// Says that a line has been worked on.
    let finished: @Sendable () -> Void
    /// Ends the lines, although there may be more.
    let stop: @Sendable () -> Void

    init(_ options: Options) throws {
        if let path = options.input {
            let reader = try LineReader(path: path, limit: Order.lineBytes)
            lines = reader.lines
            finished = { reader.taken() }
            stop = { reader.stop() }
        } else {
            let (lines, continuation) = AsyncStream.makeStream(of: [UInt8].self)
            var generator = Generator(seed: options.seed, count: options.count)
            for _ in 0..<options.count { continuation.yield(generator.line()) }
            continuation.finish()
            self.lines = lines
            finished = {}
            stop = {}
        }
    }
}
