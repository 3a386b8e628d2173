import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation

/// What the fuzzer feeds with bytes; a violation ends the process.
enum FuzzTarget {
    /// Frames after a manifest, with the checksums repaired, so that the code behind the checksums is reached.
    case frame
    /// A whole segment or log, which is opened as it is, and with its checksums repaired.
    case recovery
    /// A directory, which is opened as it is, and with the checksums of all files repaired.
    case directory
    /// A payload.
    case codec
    /// Calls to a store, crashes and openings, against the model.
    case operations

    func run(_ bytes: [UInt8]) {
        switch self {
        case .frame: FuzzedStore.segment(FuzzedStore.repairedFrames(bytes)).recover()
        case .recovery:
            FuzzedStore.segment(bytes).recover()
            FuzzedStore.segment(bytes).repaired.recover()
        case .directory:
            let store = FuzzedStore(decoding: bytes)
            store.recover()
            store.repaired.recover()
        case .codec: decode(bytes)
        case .operations: operate(bytes)
        }
    }

    /// Inputs to begin with.
    var seeds: [[UInt8]] {
        let directories = FormatFixture.known.map(\.files) + StoreImage.all.map(\.files)
        let logs = directories.flatMap { files in
            files.filter { $0.key.hasPrefix("log-") }.sorted { $0.key < $1.key }.map(\.value)
        }
        switch self {
        case .frame: return logs.map { Array($0.dropFirst(512)) }
        case .recovery: return logs
        case .directory: return directories.map { FuzzedStore(files: $0).encoded }
        case .codec:
            return directories.flatMap(\.values).flatMap(Self.payloads)
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

    // MARK: Payloads

    /// Bytes that can be decoded are encoded and decoded to the same.
    private func decode(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes, 0..<bytes.count)
        if let mutations = try? reader.mutations() {
            check(reader.isAtEnd, "bytes were left")
            var encoded: [UInt8] = []
            for mutation in mutations { encoded.append(mutation: mutation) }
            check(encoded.count <= bytes.count, "encoded in \(encoded.count) bytes, decoded from \(bytes.count)")
            var again = ByteReader(encoded, 0..<encoded.count)
            check((try? again.mutations()) == mutations, "decoded to something else")
        }
        reader = ByteReader(bytes, 0..<bytes.count)
        if let manifest = try? reader.manifest() {
            var encoded: [UInt8] = []
            encoded.append(manifest: manifest)
            var again = ByteReader(encoded, 0..<encoded.count)
            check((try? again.manifest()) == manifest, "decoded to another manifest")
            check(encoded.count <= bytes.count, "a manifest of \(bytes.count) bytes has \(encoded.count)")
        }
        reader = ByteReader(bytes, 0..<bytes.count)
        if let checkpoint = try? reader.checkpoint() {
            var encoded: [UInt8] = []
            encoded.append(checkpoint: checkpoint)
            var again = ByteReader(encoded, 0..<encoded.count)
            check((try? again.checkpoint()) == checkpoint, "decoded to another checkpoint")
            var manifest = Manifest(firstSegment: 1)
            manifest.install(checkpoint)
            check(manifest.ranges.contains(checkpoint.range), "the checkpoint was not installed")
        }
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

}

func check(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { violation(what()) } }

func violation(_ what: String) -> Never { fatalError("VIOLATION: \(what)") }

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
