import ReliabilityCore
import ReliabilityStore

@testable import Dedup

/// Claims, entries and answers for the tests of the state machines.
enum ClaimFixture {
    static let mine = ClaimID.random()
    static let other = ClaimID.random()
    /// Another claim with an owner in this process.
    static let live = ClaimID.random()
    static let retention: UInt64 = 5000
    static let digest = [UInt8](repeating: 7, count: 32)
    static let openedAt = StoreVersion(rawValue: 100)

    /// An answer of a store to a conditional write.
    enum Answer {
        case committed
        case conflict(StoreEntry?)
        case failed(StoreError.Reason)
    }

    static let entries: [StoreEntry] = {
        var entries = [StoreEntry(value: [1, 2, 3], version: StoreVersion(rawValue: 100), remaining: nil)]
        for state in [StoredClaim.State.inProgress, .done, .doneWithoutResult] {
            for id in [mine, other, live] {
                for digest in [nil, digest, [UInt8](repeating: 8, count: 32)] {
                    var record = StoredClaim(state: state, id: id, retentionMilliseconds: retention, digest: digest)
                    if state == .done { record.result = [42] }
                    for version in [99, 100] as [UInt64] {
                        let version = StoreVersion(rawValue: version)
                        for remaining in [nil, .seconds(9), .milliseconds(5500), .seconds(5)] as [Duration?] {
                            entries.append(StoreEntry(value: record.bytes, version: version, remaining: remaining))
                        }
                    }
                }
            }
        }
        return entries
    }()

    static let answers: [Answer] =
        [.committed, .conflict(nil), .failed(.unavailable), .failed(.unknownOutcome), .failed(.cancelled)]
        + entries.map { .conflict($0) }
}
