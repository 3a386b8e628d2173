import Dispatch
import Reliability
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// An order desk that survives a hostile world.
///
/// README.md says what to watch for.
@main
struct Orders {
    /// How long the end of a run waits for what is still open.
    static let drainLimit = Duration.seconds(20)

    static func main() async {
        // A closed one of the first three would be the next file that is opened, and answers would go there.
        while true {
            let descriptor = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
            if descriptor > STDERR_FILENO { close(descriptor) }
            if descriptor < 0 || descriptor > STDERR_FILENO { break }
        }
        let standardError = LineWriter(descriptor: STDERR_FILENO, name: "standard error")
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") {
            try? await LineWriter(descriptor: STDOUT_FILENO, name: "standard output").write(Options.usage)
            exit(0)
        }
        do {
            let options = try Options(arguments)
            if options.isStorm {
                try await runStorm(seconds: options.seconds, seed: options.seed)
                exit(0)
            }
            exit(try await run(options, standardError))
        } catch let error as Options.UsageError {
            try? await standardError.write(error.line)
        } catch {
            try? await standardError.write("orders: \(error)")
        }
        exit(2)
    }

    static func run(_ options: Options, _ standardError: LineWriter) async throws -> Int32 {
        let stop = StopSignal()
        let signals = stop.listen()
        defer { for signal in signals { signal.cancel() } }
        let input = try Input(options)
        stop.whenStopped(input.stop)
        let data = try makeDirectory(options.data)
        let storage = try await Storage.open(options, data: data)
        let calls = try LineWriter(appendingTo: data + "/calls.ndjson")
        let gateway = try Service(
            name: "gateway",
            ledger: data + "/charges.ndjson",
            calls: calls,
            faults: options.faults,
            seed: options.seed &+ 1
        )
        let sink = try Service(
            name: "shipping",
            ledger: data + "/shipments.ndjson",
            calls: calls,
            faults: options.faults,
            seed: options.seed &+ 2
        )
        let shipping = OutboxQueue(
            OutboxQueue.Configuration("shipping", durability: OrderDesk.durability),
            store: storage.store,
            storeFailure: .failClosed()
        )
        let delivered = Mutex(0)
        let relay = OutboxRelay(
            OutboxRelay.Configuration(
                maxAttempts: 50,
                backoff: .exponential(initial: .milliseconds(20), max: .milliseconds(500), jitter: .equal),
                concurrency: 32,
                deliveryTimeout: .milliseconds(400),
                // What a killed desk was delivering, and what another desk has sent, is found soon.
                lease: .seconds(5),
                pollInterval: .milliseconds(500)
            ),
            queue: shipping
        ) { delivery in
            let message = delivery.message
            let id = String(decoding: message.payload, as: UTF8.self)
            _ = try await sink.act(key: message.id, fields: #""order_id":"\#(id)","message_id":\#(json(message.id))"#)
            delivered.withLock { $0 += 1 }
        }
        let desk = OrderDesk(shipping: shipping, gateway: gateway, ordersPerMinute: options.rate)
        try await shipping.redriveDeadLetters()
        try await desk.loadPending()

        let relaying = Task { await relay.run() }
        let settling = Task { await desk.settle() }
        let progress = Task { await showProgress(desk, standardError) }
        await answerLines(of: input, desk, stop, concurrency: options.concurrency)

        // Everything is answered. What is still open is brought to its end, or left for the next start.
        let end = ContinuousClock.now + drainLimit
        while !stop.isStopped, ContinuousClock.now < end {
            // A store that is down comes back, or the time is over.
            if let open = try? await desk.openWork(), open == (0, RecordCounts(pending: 0, deadLetters: 0)) { break }
            try? await Task.sleep(for: .milliseconds(20))
        }
        settling.cancel()
        progress.cancel()
        await settling.value
        await relay.drain(within: .seconds(2))
        await relaying.value
        await progress.value
        let open = try? await desk.openWork()
        await storage.close()
        // Observers count the retries, timeouts and trips of the table.
        await ObserverDelivery.flush()

        try? await standardError.write(
            desk.statistics.table(delivered: delivered.withLock { $0 }, waiting: open?.messages)
        )
        try? await standardError.write("data: \(data)")
        if let failure = input.failure() { throw failure }
        if stop.isStopped { return 0 }
        guard let open else {
            try? await standardError.write("orders: the store does not answer; start again to go on")
            return 1
        }
        let count = open.orders + open.messages.pending + open.messages.deadLetters
        if count == 0 { return 0 }
        try? await standardError.write("orders: \(count) orders and messages are still open; start again to go on")
        return 1
    }

    /// Answers all lines, some at a time.
    private static func answerLines(of input: Input, _ desk: OrderDesk, _ stop: StopSignal, concurrency: Int) async {
        let output = LineWriter(descriptor: STDOUT_FILENO, name: "standard output")
        await withTaskGroup(of: Void.self) { group in
            var number = 0
            for await line in input.lines {
                input.taken()
                if stop.isStopped { break }
                number += 1
                if number > concurrency { await group.next() }
                group.addTask { [number] in
                    let answer = await desk.answer(line)
                    // Whoever has stopped reading can ask again: the same orders get the same answers.
                    try? await output.write(answer.line(number))
                }
            }
        }
    }

    /// Keeps a line of progress on a terminal.
    private static func showProgress(_ desk: OrderDesk, _ standardError: LineWriter) async {
        guard isatty(STDERR_FILENO) == 1 else { return }
        while !Task.isCancelled {
            try? await standardError.write(
                "\r\u{1B}[2K\(desk.statistics.answered) answered, \(desk.unsettledCount) to settle",
                terminator: ""
            )
            try? await Task.sleep(for: .milliseconds(200))
        }
        try? await standardError.write("")
    }
}

extension OrderDesk.Answer {
    /// The answer as a line of output.
    func line(_ number: Int) -> String {
        var line = #"{"line":\#(number),"status":\#(status),"outcome":"\#(outcome)""#
        if let orderID { line += #","order_id":"\#(orderID)""# }
        if let error { line += #","error":\#(String(decoding: error.jsonBody(), as: UTF8.self))"# }
        return line + "}"
    }
}

/// SIGTERM and SIGINT, as a flag and a call.
final class StopSignal: Sendable {
    private let state = Mutex<(isStopped: Bool, action: (@Sendable () -> Void)?)>((false, nil))

    /// Listens for the signals until the sources are gone.
    func listen() -> [any DispatchSourceSignal] {
        signal(SIGPIPE, SIG_IGN)
        return [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [self] in stop() }
            source.activate()
            return source
        }
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Sets what is called when the signal comes, or at once if it came.
    func whenStopped(_ action: @escaping @Sendable () -> Void) {
        let isStopped = state.withLock { state in
            state.action = action
            return state.isStopped
        }
        if isStopped { action() }
    }

    private func stop() {
        let action = state.withLock { state in
            state.isStopped = true
            return state.action
        }
        action?()
    }
}
