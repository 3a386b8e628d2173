internal import ReliabilityStore

/// The content of the intact frames of a damaged store.
///
/// A frame is applied as a whole. A change never replaces an entry or a record that is newer: versions increase for the
/// whole life of a store. A removal carries no version, so the next version of its frame decides.
struct SalvagedContent {
    private struct Item {
        var mutation: StoreMutation
        var version: UInt64
        /// The number of log gaps before the frame, or -1 if the order of the frame is unknown.
        var gaps: Int
    }

    private var items: [ContentKey: Item] = [:]
    private(set) var position = LogPosition(clock: .min, nextVersion: 1)

    /// Applies the changes of a frame.
    ///
    /// - Parameters:
    ///   - frame: The frame.
    ///   - gaps: The number of log gaps before the frame, or -1 if the order of the frame is unknown.
    ///   - isIncluded: A closure that returns `false` for places whose content a newer file has.
    mutating func apply(_ frame: FrameScanner.Frame, gaps: Int, _ isIncluded: (ContentKey) -> Bool) {
        position.clock = max(position.clock, frame.position.clock)
        position.nextVersion = max(position.nextVersion, frame.position.nextVersion)
        guard case .mutations(let mutations) = frame.content else { return }
        for mutation in mutations {
            let place = mutation.contentKey
            if !isIncluded(place) { continue }
            let present = items[place]
            switch mutation {
            case .put(_, let entry): put(mutation, entry.version)
            case .putRecord(let record): put(mutation, record.version)
            case .remove, .removeRecord:
                if let present, present.version >= frame.position.nextVersion { continue }
                items[place] = nil
            }
            func put(_ mutation: StoreMutation, _ version: UInt64) {
                if let present, present.version > version { return }
                items[place] = Item(mutation: mutation, version: version, gaps: gaps)
                position.nextVersion = max(position.nextVersion, version + 1)
            }
        }
    }

    /// Returns the live content in order.
    ///
    /// - Parameter gaps: The number of all log gaps.
    /// - Returns: The content, and the number of items that a lost frame may have changed or removed.
    func content(gaps: Int) -> (mutations: [StoreMutation], uncertain: Int) {
        var uncertain = 0
        var mutations: [StoreMutation] = []
        for (_, item) in items.sorted(by: { $0.key < $1.key }) {
            if case .put(_, let entry) = item.mutation, let end = entry.expiresAt, end <= position.clock / 1_000_000 {
                continue
            }
            if item.gaps < gaps { uncertain += 1 }
            mutations.append(item.mutation)
        }
        return (mutations, uncertain)
    }
}
