internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// A store in the format as it is released: the files in `Tools/StoreFormat` must stay readable forever, and this is
/// how they were written.
package struct FormatFixture: Sendable {
    /// The folder.
    package let name: String
    /// The files, byte for byte.
    package let files: [String: [UInt8]]
    /// The content of the log.
    package let content: StoreContent
    /// The position and the state of the log.
    package let contents: LogContents
    /// The content after an opening at ``openingTime``.
    package let contentAfterOpening: StoreContent

    /// The time at which the stores were made: noon UTC on 1 July 2026, in nanoseconds since 1970.
    package static let birth: Int64 = 1_782_907_200_000_000_000
    /// The time of the opening, an hour later.
    package static let openingTime: Int64 = birth + 3_600_000_000_000
    package static let tuning = LogTuning(growth: 4096, batchLimit: 1 << 20, compactionMinimum: 1 << 20)

    package static let closed = FormatFixture("format-1/closed", isClosed: true)
    /// A store that was not closed, without the second sector of its last frame.
    package static let torn = FormatFixture("format-1/torn", isClosed: false)
    package static let known = [closed, torn]

    /// The closed store with an unknown format.
    package static let unknownVersion: UInt32 = 1000
    package static var unknownFiles: [String: [UInt8]] {
        var log = closed.log
        log.set(unknownVersion, at: 12)
        log.set(FileHeader.checksum(Array(log.prefix(512))), at: 8)
        return ["log": log, "LOCK": closed.files["LOCK"] ?? []]
    }

    package var log: [UInt8] { files["log"] ?? [] }

    // One entry and one record only, because a larger snapshot has no fixed order.
    private static let first: [[WorkloadOperation]] = [
        [.commit([.put(StoreKey("orders", "1"), Array("first".utf8), .never, if: .absent)], [])],
        [.enqueue([NewRecord(queue: "wörk", id: "snapshot", payload: [0, 1, 255])])],
    ]

    private static let second: [[WorkloadOperation]] = [
        [.commit([.put(StoreKey("orders", "2"), [], .after(.seconds(86_400)), if: .absent)], [])],
        // Two calls that share a frame.
        [
            .commit([.put(StoreKey("orders", bytes: [[0], [], [255, 254]]), [1, 2, 3], .never, if: .any)], []),
            .update([.init(StoreKey("limits", "a"), .fixedWindow(length: .seconds(7200), limit: 5, cost: 2))]),
        ],
        // A separate frame of several sectors, one of them zeros, and a key that is too long for inline storage.
        [
            .commit(
                [
                    .put(
                        StoreKey("long", String(repeating: "k", count: 200)),
                        [UInt8](repeating: 7, count: 300) + [UInt8](repeating: 0, count: 1200) + [8],
                        .never,
                        if: .any
                    )
                ],
                []
            )
        ],
        [
            .commit(
                [
                    .delete(StoreKey("orders", "1"), if: .present),
                    .put(StoreKey("orders", "3"), [3], .never, if: .absent),
                ],
                [NewRecord(queue: "wörk", id: "with a commit", payload: [], delay: .seconds(600))]
            )
        ],
        [.claim("wörk", limit: 1, lease: .seconds(30))],
        [
            .enqueue([
                NewRecord(queue: "done", id: "1", payload: [1]), NewRecord(queue: "leased", id: "1", payload: [2]),
            ])
        ],
        [.claim("done", limit: 1, lease: .seconds(30))],
        [.claim("leased", limit: 1, lease: .seconds(30))],
    ]

    private init(_ name: String, isClosed: Bool) {
        self.name = name
        var model = ModelStore()
        var beforeLast = model
        var nextVersion: UInt64 = 0
        var now = Self.birth
        var frames = 1
        var end = 0
        var lastFrame = 0

        func run(_ batches: [[WorkloadOperation]], on fileSystem: SimulatedFileSystem, closing: Bool) {
            guard let store = try? SimulatedStore(fileSystem, unixTime: now, tuning: Self.tuning) else { return }
            frames = 1
            model.reopen(nextVersion: store.capabilities.openedAt?.rawValue ?? 1, now: now)
            var tokens: [RecordClaim] = []
            func frame(_ operations: [WorkloadOperation]) {
                store.advance(by: 1_000_000_000)
                beforeLast = model
                lastFrame = Self.end(of: fileSystem)
                for operation in operations {
                    let answer = store.submit(operation).answer
                    precondition(answer == model.apply(operation, now: store.now), "\(operation): \(answer)")
                    if case .claimed(let claims) = answer { tokens += claims }
                }
                store.settle()
                frames += 1
                now = store.now
            }
            for operations in batches { frame(operations) }
            if tokens.count == 3 {
                // A dead letter, a removed record and a leased record.
                frame([.settle([Settlement(tokens[0], .deadLetter(reason: "kaputt: é"))])])
                frame([.settle([Settlement(tokens[1], .done)])])
                if !isClosed {
                    frame([
                        .commit(
                            [.put(StoreKey("orders", "torn"), [UInt8](repeating: 9, count: 700), .never, if: .any)],
                            []
                        )
                    ])
                }
            }
            nextVersion = model.nextVersion
            if closing {
                store.close()
                frames += 1
            }
            end = Self.end(of: fileSystem)
        }

        let home = SimulatedFileSystem(seed: 2026)
        run(Self.first, on: home, closing: true)
        let again = home.restarted()
        run(Self.second, on: again, closing: isClosed)
        var log = again.disk.bytes(of: "log") ?? []
        var contents = LogContents()
        if isClosed {
            contents.bytes = Int64(end)
            contents.isSealed = true
            contents.position = LogPosition(clock: now, nextVersion: nextVersion)
        } else {
            log.replaceSubrange(lastFrame + 512..<lastFrame + 1024, with: repeatElement(0, count: 512))
            model = beforeLast
            frames -= 1
            contents.bytes = Int64(lastFrame)
            contents.droppedTailBytes = Int64(end - lastFrame)
            contents.position = LogPosition(clock: now - 1_000_000_000, nextVersion: model.nextVersion)
        }
        contents.frames = frames
        self.contents = contents
        files = ["log": log, "LOCK": again.disk.bytes(of: "LOCK") ?? []]
        content = model.content(now: .min)
        model.reopen(nextVersion: model.nextVersion + 1 << 20, now: Self.openingTime)
        contentAfterOpening = model.content(now: Self.openingTime)
    }

    private static func end(of fileSystem: SimulatedFileSystem) -> Int {
        let log = fileSystem.disk.bytes(of: "log") ?? []
        return ((log.lastIndex { $0 != 0 } ?? 0) + 512) / 512 * 512
    }
}
