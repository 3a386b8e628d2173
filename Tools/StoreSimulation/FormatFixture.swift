internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// A store in the format as it is released.
///
/// The files in `Tools/StoreFormat` must stay readable forever. The fixture shows how the files of the present format
/// were written. Nothing writes the files of format 1 any longer.
package struct FormatFixture: Sendable {
    /// The folder.
    package let name: String
    /// The files, byte for byte.
    package let files: [String: [UInt8]]
    /// The content after an opening at ``openingTime``.
    package let contentAfterOpening: StoreContent
    package let isClosed: Bool

    /// The time at which the stores were made: noon UTC on 1 July 2026, in nanoseconds since 1970.
    package static let birth: Int64 = 1_782_907_200_000_000_000
    /// The time of the opening, an hour later.
    package static let openingTime: Int64 = birth + 3_600_000_000_000
    package static let tuning = LogTuning(growth: 2048, compactionMinimum: 1 << 30, checkpointSize: 8192)

    package static let closed = FormatFixture("format-2/closed", isClosed: true)
    /// A store that was not closed, without the second sector of its last frame.
    package static let torn = FormatFixture("format-2/torn", isClosed: false)
    package static let known = [closed, torn]

    /// The closed store, whose last segment has an unknown format.
    package static let unknownVersion: UInt32 = 3
    package static var unknownFiles: [String: [UInt8]] {
        var files = closed.files
        for (name, bytes) in files where name.hasPrefix("log-") {
            var bytes = bytes
            bytes.set(unknownVersion, at: 12)
            bytes.set(FileHeader.checksum(Array(bytes.prefix(512))), at: 8)
            files[name] = bytes
        }
        return files
    }

    /// The calls of the first owner.
    ///
    /// Each element makes a frame.
    private static let first: [[WorkloadOperation]] = [
        [.commit([.put(StoreKey("orders", "1"), Array("first".utf8), .never, if: .absent)], [])],
        [.enqueue([NewRecord(queue: "wörk", id: "snapshot", payload: [0, 1, 255])])],
        [
            .commit(
                [.put(StoreKey("a", "1"), [], .never, if: .any), .put(StoreKey("b", "1"), [1], .never, if: .any)],
                []
            ),
            .commit(
                [.put(StoreKey("c", "1"), [], .never, if: .any), .put(StoreKey("d", "1"), [1], .never, if: .any)],
                []
            ),
        ],
    ]

    /// The calls of the second owner.
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
        [.commit([.put(StoreKey("long", "2"), [UInt8](repeating: 2, count: 1500), .never, if: .any)], [])],
        [.commit([.put(StoreKey("long", "2"), [UInt8](repeating: 3, count: 1500), .never, if: .any)], [])],
        [.claim("wörk", limit: 1, lease: .seconds(30))],
        [
            .enqueue([
                NewRecord(queue: "done", id: "1", payload: [1]), NewRecord(queue: "leased", id: "1", payload: [2]),
            ])
        ],
        [.claim("done", limit: 1, lease: .seconds(30))],
    ]

    private init(_ name: String, isClosed: Bool) {
        self.name = name
        self.isClosed = isClosed
        var recording = StoreRecording(seed: 2026, now: Self.birth, interval: 1_000_000_000)
        var compacting = Self.tuning
        compacting.compactionMinimum = 1024
        // One checkpoint file for all content.
        recording.open(compacting, Self.first)
        recording.settle()
        recording.end(closing: true)
        // A segment of an opening, which ends with a roll frame.
        recording.open(Self.tuning)
        var claims: [RecordClaim] = []
        for operations in Self.second {
            for case .claimed(let more) in recording.frame(operations) { claims += more }
        }
        // The dead letter leaves one lease, because the order of several ended leases is not fixed.
        recording.frame([.settle([Settlement(claims[0], .deadLetter(reason: "kaputt: é"))])])
        recording.end(closing: false)
        // The next compaction ends after its first checkpoint. The opening ended the leases, but the token is valid.
        compacting.checkpointSize = 512
        compacting.sliceLimit = 2
        recording.open(compacting)
        recording.compact(untilFiles: 2)
        // A removed record and a leased record.
        recording.frame([.settle([Settlement(claims[1], .done)])])
        recording.frame([.claim("leased", limit: 1, lease: .seconds(30))])
        if !isClosed {
            let value = [UInt8](repeating: 9, count: 700)
            recording.frame([.commit([.put(StoreKey("orders", "torn"), value, .never, if: .any)], [])])
        }
        recording.end(closing: isClosed)
        var files = recording.files
        if !isClosed {
            let sector = recording.lastFrame.lowerBound + 512
            files[recording.lastName]?.replaceSubrange(sector..<sector + 512, with: repeatElement(0, count: 512))
        }
        self.files = files
        var model = isClosed ? recording.model : recording.modelBefore
        model.reopen(nextVersion: model.nextVersion + 1 << 20, now: Self.openingTime)
        contentAfterOpening = model.content(now: Self.openingTime)
    }
}
