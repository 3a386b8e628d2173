internal import ReliabilityCore
package import ReliabilityFileStore
package import ReliabilityStore

/// The files of a small store as its owner left them, and their content.
package struct StoreImage: Sendable {
    /// The content of the files at the time of the next opening.
    package struct Holding: Hashable, Sendable {
        package var content: StoreContent
        /// The first version of the next owner.
        package var openedAt: StoreVersion
    }

    package let name: String
    package let files: [String: [UInt8]]
    package let isClosed: Bool
    /// The place of the last acknowledged frame.
    package let lastFrame: Range<Int>
    package let holding: Holding
    /// The content without the last frame.
    package let holdingBefore: Holding

    /// The log of another store with the same history, other values and one frame more.
    package let foreign: [UInt8]

    package var log: [UInt8] { files["log"] ?? [] }

    /// The time at which the images are made: a second in 2026, in nanoseconds since 1970.
    package static let day: Int64 = 1_780_000_000_000_000_000
    /// The time of the next opening.
    package static let later: Int64 = day + 5_000_000_000
    /// A tuning for small files that are often extended and compacted.
    package static let tuning = LogTuning(growth: 2048, batchLimit: 1 << 20, compactionMinimum: 1 << 20)

    /// The images: a closed store, and stores of owners that ended after a frame of one sector, after a frame of
    /// several sectors with zeros, and just after the opening.
    package static let all: [StoreImage] = [
        StoreImage("closed", last: delete, isClosed: true),
        StoreImage("open", last: delete, isClosed: false),
        StoreImage("open-long", last: [put("last", long + long)], isClosed: false),
        StoreImage("just-opened", last: nil, isClosed: false),
    ]

    package static func named(_ name: String) -> StoreImage? { all.first { $0.name == name } }

    private static let queue = QueueName("q")
    private static let long = [UInt8](repeating: 5, count: 600) + [UInt8](repeating: 0, count: 1100) + [6]

    private static func key(_ name: String) -> StoreKey { StoreKey("test", name) }

    private static var delete: [WorkloadOperation] { [.commit([.delete(key("a"), if: .present)], [])] }

    private static func put(_ name: String, _ value: [UInt8], _ expiry: Expiry = .never) -> WorkloadOperation {
        .commit([.put(key(name), value, expiry, if: .any)], [])
    }

    /// The operations before and after the second opening.
    ///
    /// Each element makes a frame.
    private static func workload(_ fill: UInt8) -> (before: [[WorkloadOperation]], after: [[WorkloadOperation]]) {
        let before: [[WorkloadOperation]] = [
            [put("a", [fill])],
            [
                .enqueue([
                    NewRecord(queue: queue, id: "1", payload: [fill]), NewRecord(queue: queue, id: "2", payload: []),
                ])
            ],
            [put("gone", [fill], .after(.milliseconds(1500)))],
            [put("snapshot", [fill] + long)],
        ]
        let after: [[WorkloadOperation]] = [
            [
                put("b", [fill], .after(.seconds(60))),
                .update([.init(key("u"), .gcra(interval: .seconds(9), burst: 9, cost: Int(fill)))]),
            ],
            [put("long", [fill] + long)],
            [.claim(queue, limit: 1, lease: .seconds(100))],
            [
                .commit(
                    [.put(key("c"), [], .never, if: .absent)],
                    [NewRecord(queue: queue, id: "3", payload: [fill, 3])]
                )
            ],
            [.claim(queue, limit: 1, lease: .seconds(1))],
        ]
        return (before, after)
    }

    // `last` is the content of the last frame, or `nil` for no frame since the opening.
    private init(_ name: String, last: [WorkloadOperation]?, isClosed: Bool) {
        self.name = name
        self.isClosed = isClosed
        let own = Recording(fill: 1, last, more: [], isClosed: isClosed)
        files = own.files
        lastFrame = own.lastFrame
        holding = Self.holding(own.model)
        holdingBefore = Self.holding(own.modelBefore)
        foreign = Recording(fill: 2, last, more: [[Self.put("more", [2])]], isClosed: isClosed).files["log"] ?? []
    }

    /// A store during its preparation.
    private struct Recording {
        var files: [String: [UInt8]] = [:]
        var lastFrame = 0..<0
        var model = ModelStore()
        /// The state before the last frame.
        var modelBefore = ModelStore()
        private var now = StoreImage.day

        init(fill: UInt8, _ last: [WorkloadOperation]?, more: [[WorkloadOperation]], isClosed: Bool) {
            let (before, after) = StoreImage.workload(fill)
            let first = SimulatedFileSystem(seed: UInt64(fill))
            run(before, on: first, closing: true)
            let second = first.restarted()
            run((last.map { after + [$0] } ?? []) + more, on: second, closing: isClosed)
            files = Dictionary(uniqueKeysWithValues: ["log", "LOCK"].map { ($0, second.disk.bytes(of: $0) ?? []) })
        }

        private mutating func run(_ frames: [[WorkloadOperation]], on fileSystem: SimulatedFileSystem, closing: Bool) {
            guard let store = try? SimulatedStore(fileSystem, unixTime: now, tuning: StoreImage.tuning) else { return }
            func end() -> Int {
                let log = fileSystem.disk.bytes(of: "log") ?? []
                return ((log.lastIndex { $0 != 0 } ?? 0) + 512) / 512 * 512
            }
            model.reopen(nextVersion: store.capabilities.openedAt?.rawValue ?? 1, now: now)
            modelBefore = model
            lastFrame = end()..<end()
            for operations in frames {
                let start = end()
                modelBefore = model
                store.advance(by: 500_000_000)
                now = store.now
                let answers = operations.map { store.submit($0).answer }
                store.settle()
                let expected = operations.map { model.apply($0, now: now) }
                precondition(answers == expected, "\(answers) instead of \(expected)")
                lastFrame = start..<end()
            }
            if closing { store.close() }
        }
    }

    /// Returns the content after an opening at ``later``.
    private static func holding(_ model: ModelStore) -> Holding {
        let openedAt = model.nextVersion + 1 << 20
        var model = model
        model.reopen(nextVersion: openedAt, now: later)
        return Holding(content: model.content(now: later), openedAt: StoreVersion(rawValue: openedAt))
    }
}

/// Reads all frames of a log.
///
/// - Parameter log: The file.
/// - Returns: The mutations of all frames, and the position and the state of the log.
/// - Throws: The damage of the log.
package func readLog(_ log: [UInt8]) throws(LogReader.Failure) -> (mutations: [StoreMutation], contents: LogContents) {
    var mutations: [StoreMutation] = []
    let reader = LogReader(size: Int64(log.count)) { offset, count in
        Array(log[min(log.count, Int(offset))...].prefix(count))
    }
    let contents = try reader.replay { mutations += $0 }
    return (mutations, contents)
}
