internal import ReliabilityCore
package import ReliabilityStore

/// A range of the content and the checkpoint file that holds the range.
///
/// A range ends where the next range begins. The last range has no end.
package struct CheckpointRange: Hashable, Sendable {
    package var start: ContentKey
    /// The number of the checkpoint file, or 0 if the range had no content.
    package var number: UInt64
    package var salt: UInt64
    /// The size of the checkpoint file in bytes.
    package var size: Int64
    /// The number of the first segment whose frames change the range after the checkpoint.
    package var firstSegment: UInt64

    package init(start: ContentKey, number: UInt64, salt: UInt64, size: Int64, firstSegment: UInt64) {
        self.start = start
        self.number = number
        self.salt = salt
        self.size = size
        self.firstSegment = firstSegment
    }
}

/// The replacement of the checkpoints from the start of a range to `end`.
package struct Checkpoint: Hashable, Sendable {
    package var range: CheckpointRange
    /// The end of the range, or `nil` for the end of the content.
    package var end: ContentKey?

    package init(_ range: CheckpointRange, end: ContentKey?) {
        self.range = range
        self.end = end
    }
}

/// The checkpoints of a store: ranges in order that cover all content.
package struct Manifest: Hashable, Sendable {
    package private(set) var ranges: [CheckpointRange]

    /// The manifest of a store without a checkpoint.
    package init(firstSegment: UInt64) {
        ranges = [CheckpointRange(start: .start, number: 0, salt: 0, size: 0, firstSegment: firstSegment)]
    }

    fileprivate init?(_ ranges: [CheckpointRange]) {
        guard ranges.first?.start == .start, zip(ranges, ranges.dropFirst()).allSatisfy({ $0.start < $1.start })
        else { return nil }
        self.ranges = ranges
    }

    /// The oldest segment that a reader needs.
    package var firstSegment: UInt64 { ranges.map(\.firstSegment).min() ?? 0 }

    /// The numbers of the checkpoint files.
    package var files: Set<UInt64> { Set(ranges.map(\.number)).subtracting([0]) }

    /// Returns the end of a range, or `nil` for the end of the content.
    package func end(of index: Int) -> ContentKey? { index + 1 < ranges.count ? ranges[index + 1].start : nil }

    /// Replaces the ranges that a checkpoint covers.
    ///
    /// A range that the checkpoint covers in part keeps its file for its rest.
    package mutating func install(_ checkpoint: Checkpoint) {
        var new = ranges.filter { $0.start < checkpoint.range.start } + [checkpoint.range]
        if let end = checkpoint.end {
            if var last = ranges.last(where: { $0.start <= end }) {
                last.start = end
                new.append(last)
            }
            new += ranges.filter { $0.start > end }
        }
        ranges = new
    }
}

extension [UInt8] {
    private mutating func append(range: CheckpointRange) {
        append(number: range.number)
        append(number: range.salt)
        append(number: range.size)
        append(number: range.firstSegment)
        append(counted: range.start.bytes)
    }

    package mutating func append(manifest: Manifest) {
        append(number: UInt64(manifest.ranges.count))
        for range in manifest.ranges { append(range: range) }
    }

    package mutating func append(checkpoint: Checkpoint) {
        append(range: checkpoint.range)
        // The end is never the place before all content, so no bytes express no end.
        append(counted: checkpoint.end?.bytes ?? [])
    }
}

extension ByteReader {
    private mutating func range() throws(MalformedBytes) -> CheckpointRange {
        let number: UInt64 = try number()
        let salt: UInt64 = try self.number()
        let size: Int64 = try self.number()
        let firstSegment: UInt64 = try self.number()
        guard size >= 0, number > 0 || size == 0, max(number, firstSegment) <= LogFormat.maxNumber
        else { throw MalformedBytes() }
        return CheckpointRange(
            start: ContentKey(bytes: try counted()),
            number: number,
            salt: salt,
            size: size,
            firstSegment: firstSegment
        )
    }

    package mutating func manifest() throws(MalformedBytes) -> Manifest {
        let count: UInt64 = try number()
        var ranges: [CheckpointRange] = []
        for _ in 0..<count { ranges.append(try range()) }
        guard isAtEnd, let manifest = Manifest(ranges) else { throw MalformedBytes() }
        return manifest
    }

    package mutating func checkpoint() throws(MalformedBytes) -> Checkpoint {
        let range = try range()
        let end = ContentKey(bytes: try counted())
        guard isAtEnd, end == .start || range.start < end else { throw MalformedBytes() }
        return Checkpoint(range, end: end == .start ? nil : end)
    }

    mutating func segmentID() throws(MalformedBytes) -> SegmentID {
        let id = SegmentID(number: try number(), salt: try number())
        guard isAtEnd else { throw MalformedBytes() }
        return id
    }
}
