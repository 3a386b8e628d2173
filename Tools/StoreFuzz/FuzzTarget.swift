import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation

/// What the fuzzer feeds with bytes; a violation ends the process.
enum FuzzTarget {
    /// Frames, with the checksums repaired, so that what is behind them is reached.
    case frame
    /// A whole log, which is opened as it is, and with its checksums repaired.
    case recovery
    /// A payload.
    case codec
    /// Calls to a store, crashes and openings, against the model.
    case operations

    func run(_ bytes: [UInt8]) {
        switch self {
        case .frame: recover(repaired(bytes))
        case .recovery:
            recover(bytes)
            recover(checked(bytes))
        case .codec: decode(bytes)
        case .operations: operate(bytes)
        }
    }

    /// Inputs to begin with.
    var seeds: [[UInt8]] {
        let logs = FormatFixture.known.map(\.log) + StoreImage.all.map(\.log)
        switch self {
        case .frame: return logs.map { Array($0.dropFirst(512)) }
        case .recovery: return logs
        case .codec: return logs.flatMap(Self.payloads)
        case .operations:
            return (UInt64(0)..<20).map { seed in
                var random = SplitMix(seed)
                return (0..<400).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            }
        }
    }

    private static func payloads(_ log: [UInt8]) -> [[UInt8]] {
        guard let salt = (try? FileHeader(decoding: Array(log.prefix(512))))?.salt else { return [] }
        return stride(from: 512, to: log.count, by: 512).compactMap { offset in
            guard let header = FrameHeader(Array(log[offset...].prefix(64)), salt: salt, offset: Int64(offset)) else {
                return nil
            }
            return Array(log[(offset + 64)...].prefix(Int(header.payloadLength)))
        }
    }

    // MARK: Frames and logs

    private static let salt: UInt64 = 7

    /// The bytes as frames behind a file header, each with its magic, number, marks and checksums right.
    private func repaired(_ bytes: [UInt8]) -> [UInt8] {
        let count = 512 + (bytes.count + 511) / 512 * 512
        let header = FileHeader(salt: Self.salt, floor: 512, reservedEnd: Int64(count))
        var log = header.encoded + bytes + [UInt8](repeating: 0, count: count - 512 - bytes.count)
        var offset = 512
        var number: UInt64 = 0
        while offset < count, !log[offset..<offset + 512].allSatisfy({ $0 == 0 }) {
            log.replaceSubrange(offset..<offset + 4, with: LogFormat.frameMagic)
            log.replaceSubrange(offset + 60..<offset + 64, with: LogFormat.endMark)
            log.set(number, at: offset + 24)
            offset += mendFrame(&log, offset, Self.salt)
            number += 1
        }
        return log
    }

    /// A log in which the checksums are right of the file header and of what begins as a frame does.
    private func checked(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 512 else { return bytes }
        var log = bytes
        log.replaceSubrange(0..<8, with: Array("RELIALOG".utf8))
        log.set(FileHeader.checksum(Array(log.prefix(512))), at: 8)
        let salt: UInt64 = log.number(at: 16)
        var offset = 512
        while offset + 512 <= log.count, log[offset...].starts(with: LogFormat.frameMagic) {
            offset += mendFrame(&log, offset, salt)
        }
        return log
    }

    /// Sets a frame's checksums, and returns its size.
    private func mendFrame(_ log: inout [UInt8], _ offset: Int, _ salt: UInt64) -> Int {
        let length: UInt64 = log.number(at: offset + 8)
        var size = 512
        if length <= LogFormat.maxPayload, LogFormat.frameSize(payload: Int(length)) <= log.count - offset {
            size = LogFormat.frameSize(payload: Int(length))
        }
        let frame = Array(log[offset..<offset + size])
        log.set(FrameHeader.bodyChecksum(frame, salt, Int64(offset)), at: offset + 16)
        let head = Array(log[offset..<offset + 64])
        log.set(FrameHeader.checksum(head, salt, Int64(offset)), at: offset + 4)
        return size
    }

    /// Opens a log: it is rejected and stays as it is, or it is opened, and then again with the same content.
    private func recover(_ log: [UInt8]) {
        let files = ["log": log, "LOCK": Array("1              \nhas a log\n".utf8)]
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        fileSystem.recordsCalls = true
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: StoreImage.tuning)
        } catch {
            switch error.reason {
            case .corruption("log", let offset): check((0...Int64(log.count)).contains(offset), "offset \(offset)")
            case .unsupportedFormat: break
            default: violation("rejected with \(error)")
            }
            check(fileSystem.changeCount == 0, "a rejected opening changed something")
            check(fileSystem.openCount == 0, "a rejected opening left files open")
            return
        }
        for call in fileSystem.calls where call.kind == .read {
            check(call.count <= max(1 << 16, log.count), "asked for \(call.count) bytes of \(log.count)")
        }
        check(store.recovery.droppedTailBytes <= Int64(log.count), "\(store.recovery)")
        let first = content(fileSystem)
        // Versions beyond these are never reached, and an owner needs as many.
        guard let openedAt = store.capabilities.openedAt, openedAt.rawValue < versionLimit - 1 << 22 else { return }
        let again = fileSystem.restarted()
        do throws(StoreError) {
            let second = try SimulatedStore(again, unixTime: StoreImage.day, tuning: StoreImage.tuning)
            check(second.capabilities.openedAt.map { $0 > openedAt } ?? false, "versions begin again")
            check(content(again) == first, "opened again with other content")
            check(second.start >= store.start, "the clock was set back")
            let put = WorkloadOperation.commit([.put(StoreKey("fuzz"), [1], .never, if: .any)], [])
            guard case .commit(.committed) = second.call(put) else { violation("rejected a write") }
            second.close()
            let third = try SimulatedStore(again.restarted(), unixTime: StoreImage.day, tuning: StoreImage.tuning)
            check(third.recovery.wasClosed, "not found closed")
        } catch {
            violation("rejected again: \(error)")
        }
    }

    private func content(_ fileSystem: SimulatedFileSystem) -> StoreContent {
        do throws(LogReader.Failure) {
            let (mutations, contents) = try readLog(fileSystem.disk.bytes(of: "log") ?? [])
            return StoreContent(snapshot: mutations, now: contents.position.clock)
        } catch {
            violation("the new log is not right: \(error)")
        }
    }

    // MARK: Payloads

    /// What can be decoded is encoded and decoded to the same.
    private func decode(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes, 0..<bytes.count)
        guard let mutations = try? reader.mutations() else { return }
        check(reader.isAtEnd, "bytes were left")
        var encoded: [UInt8] = []
        for mutation in mutations { encoded.append(mutation: mutation) }
        check(encoded.count <= bytes.count, "encoded in \(encoded.count) bytes, decoded from \(bytes.count)")
        var again = ByteReader(encoded, 0..<encoded.count)
        check((try? again.mutations()) == mutations, "decoded to something else")
    }

    // MARK: Operations

    /// Runs what the bytes choose; the run compares each answer and each recovery with the model.
    private func operate(_ bytes: [UInt8]) {
        var random = ByteSource(bytes)
        func number(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
        let mix = OperationMix(keys: 4, queues: 2, ids: 3, longestValue: [12, 700][number(2)], invalidPercentage: 3)
        let tuning = LogTuning(
            growth: [512, 2048][number(2)],
            batchLimit: [1, 700, 1 << 20][number(3)],
            compactionMinimum: [512, 4096][number(2)]
        )
        let probes: [WorkloadOperation] =
            [.scan(prefix: StoreKey(OperationMix.keyspace), after: nil, limit: 1000)]
            + mix.queues.flatMap { [.page($0, .pending, after: nil, limit: 1000), .nextDue($0), .counts($0)] }
        let environment = CrashEnvironment(tuning: tuning, probes: probes)
        do throws(Violation) {
            var run = try CrashRun(environment, seed: 1, unixTime: StoreImage.day)
            run.unmark()
            while !random.isAtEnd {
                switch number(16) {
                case 0: run = try crash(run, environment, mix, &random)
                case 1: try run.reopen(unixTime: run.now + Int64(number(3) - 1) * 1_000_000_000)
                case 2..<4: run.begin()
                case 4: try run.settle()
                case 5: run.advance(by: [1, 999_999, 1_000_000, 3_000_000_000][number(4)])
                case 6..<9: try run.submit(mix.next(run.model, using: &random))
                default: try run.call(mix.next(run.model, using: &random))
                }
            }
            try run.settle()
        } catch {
            violation("\(error)")
        }
    }

    private func crash(
        _ run: CrashRun,
        _ environment: CrashEnvironment,
        _ mix: OperationMix,
        _ random: inout ByteSource
    ) throws(Violation) -> CrashRun {
        run.mark()
        try run.submit(mix.next(run.model, using: &random))
        try run.settle()
        while let point = run.points.randomElement(using: &random) {
            let choices = point.disk.crashChoices(randomSubsets: 4, seed: random.next())
            guard let choice = choices.randomElement(using: &random) else { break }
            let seed = random.next()
            if let after = try point.crash(choice, environment, seed: seed, unixTime: run.now, keepsPoints: false) {
                return after
            }
        }
        return run
    }

    private func check(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { violation(what()) } }

    private func violation(_ what: String) -> Never { fatalError("VIOLATION: \(what)") }
}

/// Numbers that follow from bytes, one for each; behind the last they go on by themselves.
private struct ByteSource: RandomNumberGenerator {
    private let bytes: [UInt8]
    private var position = 0
    private var rest = SplitMix(1)

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func next() -> UInt64 {
        if isAtEnd { return rest.next() }
        defer { position += 1 }
        // The upper bits choose; the lower keep a number from being drawn again.
        return UInt64(bytes[position]) << 56 | 0x0055_5555_5555_5555
    }
}
