internal import ReliabilityCore
package import ReliabilityFileStore
package import ReliabilityStore

/// The files of a small store as its owner left them, and their content.
///
/// Each image has segments that end with a seal, with a roll frame and without either, and two checkpoint files. The
/// newer checkpoint file replaces a part of the older file.
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
    /// The name of the last segment.
    package let lastName: String
    /// The place of the last acknowledged frame in the last segment.
    package let lastFrame: Range<Int>
    package let holding: Holding
    /// The content without the last frame.
    package let holdingBefore: Holding
    /// The files of another store with the same history and other values.
    package let foreign: [String: [UInt8]]
    /// The names of the files that an opening needs.
    package let neededNames: Set<String>

    /// The time at which the images are made: a second in 2026, in nanoseconds since 1970.
    package static let day: Int64 = 1_780_000_000_000_000_000
    /// The time of the next opening.
    package static let later: Int64 = day + 60_000_000_000
    /// A tuning for small files.
    package static let tuning = LogTuning(growth: 2048, compactionMinimum: 1 << 30, checkpointSize: 8192)

    /// The images: a closed store, and stores of owners that ended after a frame of one sector, after a frame of
    /// several sectors with zeros, after a roll, and just after the opening.
    package static let all: [StoreImage] = [
        StoreImage("closed", last: [delete], isClosed: true),
        StoreImage("open", last: [delete], isClosed: false),
        StoreImage("open-long", last: [[put("last", long + long)]], isClosed: false),
        StoreImage("rolled", last: (1...4).map { [put("last\($0)", long)] } + [delete], isClosed: false),
        StoreImage("just-opened", last: [delete], isClosed: false, isOpenedAgain: true),
    ]

    package static func named(_ name: String) -> StoreImage? { all.first { $0.name == name } }

    private static let queue = QueueName("q")
    private static let long = [UInt8](repeating: 5, count: 600) + [UInt8](repeating: 0, count: 1100) + [6]

    private static func key(_ name: String) -> StoreKey { StoreKey("test", name) }

    private static var delete: [WorkloadOperation] { [.commit([.delete(key("a"), if: .present)], [])] }

    private static func put(_ name: String, _ value: [UInt8], _ expiry: Expiry = .never) -> WorkloadOperation {
        .commit([.put(key(name), value, expiry, if: .any)], [])
    }

    /// The operations of the owners.
    ///
    /// Each element makes a frame.
    private static func workload(_ fill: UInt8) -> [[[WorkloadOperation]]] {
        let first: [[WorkloadOperation]] = [
            [put("a", [fill])],
            [
                .enqueue([
                    NewRecord(queue: queue, id: "1", payload: [fill]), NewRecord(queue: queue, id: "2", payload: []),
                ])
            ],
            [put("gone", [fill], .after(.milliseconds(1500)))],
            [put("checkpoint", [fill] + long), put("d", [fill]), put("e", [fill])],
        ]
        let second: [[WorkloadOperation]] = [
            [
                put("b", [fill], .after(.seconds(600))),
                .update([.init(key("u"), .gcra(interval: .seconds(9), burst: 9, cost: Int(fill)))]),
            ],
            [put("long", [fill] + long)],
            [put("checkpoint", [fill] + long)],
            [.claim(queue, limit: 1, lease: .seconds(100))],
            [
                .commit(
                    [.put(key("c"), [], .never, if: .absent)],
                    [NewRecord(queue: queue, id: "3", payload: [fill, 3])]
                )
            ],
        ]
        let third: [[WorkloadOperation]] = [[.claim(queue, limit: 1, lease: .seconds(1))]]
        return [first, second, third]
    }

    private init(_ name: String, last: [[WorkloadOperation]], isClosed: Bool, isOpenedAgain: Bool = false) {
        self.name = name
        self.isClosed = isClosed
        let own = Self.recording(1, last, isClosed: isClosed, isOpenedAgain: isOpenedAgain)
        files = own.files
        lastName = own.lastName
        lastFrame = own.lastFrame
        neededNames = own.neededNames
        holding = Self.holding(own.model)
        holdingBefore = Self.holding(own.modelBefore)
        foreign = Self.recording(2, last, isClosed: isClosed, isOpenedAgain: isOpenedAgain).files
    }

    private static func recording(
        _ fill: UInt8,
        _ last: [[WorkloadOperation]],
        isClosed: Bool,
        isOpenedAgain: Bool
    ) -> StoreRecording {
        let owners = workload(fill)
        var recording = StoreRecording(seed: UInt64(fill), now: day, interval: 500_000_000)
        var compacting = tuning
        compacting.compactionMinimum = 1024
        // One checkpoint file for all content.
        recording.open(compacting, owners[0])
        recording.settle()
        recording.end(closing: true)
        recording.open(tuning, owners[1])
        recording.end(closing: false)
        // The next compaction ends after its first checkpoint.
        compacting.checkpointSize = 512
        compacting.sliceLimit = 2
        recording.open(compacting, owners[2])
        recording.compact(untilFiles: 2)
        for operations in last { recording.frame(operations) }
        recording.end(closing: isClosed)
        if isOpenedAgain {
            recording.open(tuning)
            recording.end(closing: false)
        }
        return recording
    }

    /// Returns the content after an opening at ``later``.
    private static func holding(_ model: ModelStore) -> Holding {
        let openedAt = model.nextVersion + 1 << 20
        var model = model
        model.reopen(nextVersion: openedAt, now: later)
        return Holding(content: model.content(now: later), openedAt: StoreVersion(rawValue: openedAt))
    }
}

extension StoreImage {
    /// The header of a segment.
    private func header(_ name: String) -> FileHeader? {
        try? FileHeader(decoding: Array(files[name, default: []].prefix(512)))
    }

    /// The name of the segment in the third line of LOCK.
    package var markedName: String {
        "log-" + String(decoding: files["LOCK", default: []].dropFirst(34).prefix(16), as: UTF8.self)
    }

    /// Returns the number of the first bytes of a file that the store depends on.
    ///
    /// A segment before the segment of an opening has no meaning from the offset that the later segment names.
    package func significantCount(_ name: String) -> Int {
        guard neededNames.contains(name), let bytes = files[name] else { return 0 }
        let ends = neededNames.compactMap { header($0)?.previous }.filter {
            $0.offset > 0 && LogFormat.name(.segment, $0.segment.number) == name
        }
        return ends.first.map { Int($0.offset) } ?? bytes.count
    }

    /// The number of bits of all files.
    package var bitCount: Int { files.values.reduce(0) { $0 + 8 * $1.count } }

    /// Returns a flipped bit of any file and the number of the bit.
    ///
    /// - Parameter number: A number that is reduced to the number of bits.
    /// - Returns: The damage and the number of its bit.
    package func flip(_ number: UInt64) -> (damage: Damage, bit: Int) {
        let chosen = Int(number % UInt64(bitCount))
        var bit = chosen
        for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
            if bit < 8 * bytes.count { return (.flip(name, bit: bit), chosen) }
            bit -= 8 * bytes.count
        }
        return (.nothing, chosen)
    }
}
