/// A mistake of a ``NaiveStore``.
///
/// Most of these mistakes occur in real stores.
enum Mutant: String, CaseIterable {
    // Entries and keys.
    case emptyIsMissing
    /// A failed read returns an empty answer.
    case cancelledFindsNothing
    /// A missing entry is left out of the answer, so later entries move up.
    case missingIsLeftOut
    /// Keys are compared as texts by canonical equivalence.
    case keysByUnicode
    /// Keys are cut at the length of an index.
    case keysAreCut
    /// Keys are strings of C and end at a NUL.
    case keysEndAtNUL

    // Versions.
    /// Each key has its own counter, which restarts after a delete or an expiry.
    ///
    /// An old token becomes valid again.
    case versionsPerKey
    /// A fence accepts old versions and rejects only versions that were never issued.
    case olderVersionsAreAccepted
    /// A claim is completed by its key without a check of its version.
    ///
    /// A late worker overwrites the next result.
    case completesUnconditionally
    case touchMakesVersion
    /// The version is taken before the row is locked.
    case versionsBeforeTheLock
    /// Each client takes versions in blocks, as from a sequence with a cache.
    case versionsInBlocks
    /// A store with one owner reports an opening version above its own versions.
    case opensAheadOfVersions
    /// Every client of a shared store reports an opening version.
    case everyClientIsOwner

    // Commits.
    /// A compare-and-set of a missing key succeeds.
    case anyVersionOfNothing
    /// A failed commit keeps the writes before the failure.
    case partlyCommitted
    case deleteReturnsVersion, keysTwice, cancelledTasksWrite
    /// A single write does not check its condition.
    case singleWritesAreUnconditional
    /// A single write accepts a key that is too long.
    case singleWritesOfLongKeys
    case singleWritesOfLongValues
    /// A single write that finds no room is reported as made.
    case singleWritesIgnoreTheCapacity
    case cancelledSingleWrites
    /// A single write is repeated after a lost answer, and its own first attempt is a conflict.
    case singleWritesAreRepeated
    /// A conflict shows an entry that was read before the lock.
    case conflictsFromBefore
    /// A cancellation after the write is reported as if nothing was written.
    case cancelledAfterwards

    // Expiry.
    /// An entry is present at the instant of its end.
    case presentAtTheEnd
    /// Reads and conditions disagree about the instant of the end.
    case conditionsAtTheEnd
    /// Lifetimes are cut to whole seconds, so 500 ms become zero or no expiry.
    case wholeSeconds
    /// Lifetimes are ignored without an error.
    case expiryIsIgnored
    /// The end is set by a second command.
    ///
    /// A reader or a crash in between finds an entry without an end.
    case endsInASecondStep
    case expiredHasItsVersion, scanShowsExpired
    /// An expired entry blocks its key until a periodic cleanup.
    case expiredBlocksCreate
    /// A write without an expiry keeps the old end.
    case neverMeansKeep
    /// A renewal extends the old end and not the current time.
    case touchAddsToTheEnd
    case overflow
    /// Lifetimes are rounded up to whole seconds.
    case upToSeconds
    /// All writes of a commit share one lifetime.
    case expiryOfACommit
    /// A write that keeps the expiry removes the end.
    case keepMeansNever
    /// A read extends the lifetime of its entry.
    case readsExtend

    // Updates.
    case coarseClock, partlyUpdated, updatesNeverExpire
    /// A single update is always allowed.
    case singleUpdatesAreAllowed
    /// A single update accepts a key that is too long.
    case singleUpdatesOfLongKeys
    /// A single update that finds no room is reported as made.
    case singleUpdatesIgnoreTheCapacity
    case cancelledSingleUpdates
    /// A single update reads the state and writes the new state without a condition.
    case singleUpdatesInTwoSteps
    case singleUpdatesNeverExpire
    /// Counters are floating-point numbers.
    case countersAreDoubles
    /// Lifetimes of updates are milliseconds in 32 bits.
    case updateExpiryOverflows

    // Scans.
    case scanBySpace, afterIncludes, scansWithoutExpiry
    /// The limit counts expired entries, and a page with fewer entries counts as the last page.
    case filtersAfterTheLimit
    /// The query asks for one row more than the limit, which overflows.
    case limitsOverflow
    /// Pages have offsets, which a deletion moves.
    case offsets

    // Limits.
    case limitTooSmall, noLimits, limitsAreLow
    /// A value that is too long is cut without an error.
    case valuesAreCut
    case evicts, expiredTakesRoom

    // Concurrency.
    /// Only written rows are locked, and rows that are read are not.
    case checksDoNotLock
    case checksThenWaits, updatesThenWaits, tornReads, staleReplica
    /// Locks are taken in the order of the caller, and a deadlock is an error.
    case deadlocks
    /// A write during another write is rejected.
    case failsWhenBusy
    /// A touch reads the row and writes the whole row.
    case touchesWriteBack
    /// Updates exclude each other but no commits.
    case updatesLockApart

    // Records.
    case enqueueReplaces, enqueuesOnConflict, leasesAreNotDue
    /// A record with a known id counts as a duplicate despite other content, and is lost.
    case idsAreEnough
    /// A dead letter counts as a pending duplicate.
    case deadLetterIsPending
    /// A taken id is skipped, so the data is committed without its message.
    case takenIsLeftOut
    /// The time of a dead letter is the end of its lease.
    case deadLetterSinceTheLease
    /// A record that waits for its retry counts as a dead letter.
    case retryingIsDeadLetter
    case pagesByText, pagesByOffset, deadLetterPagesByOffset
    /// Names are texts of a database that ignores trailing blanks.
    case namesAreTrimmed
    /// A record's key joins the queue's name and the id with a colon, which both may contain.
    case namesAreJoined
    case payloadsAreTexts
    /// A very long delay overflows and ends immediately.
    case delaysOverflow
    case dueIsNeverNegative
    /// An enqueue reads and then writes without a lock.
    case enqueuesThenWaits
    /// The id of a settled record is never accepted again.
    case doneIsRemembered
    /// Queues are compared as texts by canonical equivalence.
    case queuesByUnicode
    case recordsEvict
    /// A full store rejects every write, including deletions and settlements.
    case fullStoreRejectsRemovals
    /// A retry removes the record and adds the record again.
    case retriesInSteps
    case claimsInAnyOrder, noLease, claimKeepsToken
    /// Only failures count as attempts, and crashes do not.
    case attemptsOfRetries
    case claimsThenWaits
    /// An unsettled delivery is reported like a failed delivery.
    case abandonedIsFailed
    /// A failed delivery is reported like an unsettled delivery.
    case failedIsAbandoned
    case holdingBackCounts, heldBackIsSettled
    /// The leases of the previous owner count as settled.
    case openingSettles
    /// A claim looks at the first hundred records only.
    case claimsAmongTheFirst

    // Settlements.
    case doneTwice
    /// A settlement checks the id only.
    ///
    /// A worker without its lease settles another worker's claim.
    case settlesByID
    case retryKeepsToken, extendsTheLease, redriveKeepsAttempts, staleStopsTheRest
    /// A settlement reads and then writes without a lock.
    case settlesThenWaits
    /// The reason of a dead letter is not stored.
    case reasonsAreLost

    // Opened again.
    /// An entry with an empty value counts as deleted.
    case emptyIsDeleted
    /// Deletions are not stored.
    case deletedComeBack
    /// The next version follows the highest version of the present entries.
    case versionsFromWhatIsLeft
    /// The remaining lifetime is stored in place of the end, and restarts.
    case expiryRestarts
    case forgetsAttempts
    /// The leases of the previous owner stay in place.
    case leasesOfThePreviousOwner
    case ownerIsAlwaysTheFirst
    /// A write is acknowledged before it is durable.
    case acknowledgesEarly
    case tornCommits

    // Several clients.
    case readsThroughACache
    /// A client computes the end of an entry by its own clock.
    case endsByTheClient
    /// A client computes the due time of a record by its own clock.
    case dueByTheClient
    /// Each process has its own locks.
    case locksPerClient

    // Lost answers.
    /// A broken connection is reported as a failure.
    case lostIsFailed
    /// The client retries and reports its own first attempt as a conflict.
    case lostIsRepeated
    case lostIsDone

    /// The checks that must find this mistake.
    var checks: [String] {
        switch self {
        case .emptyIsMissing: ["entries.roundTrip", "entries.history"]
        case .cancelledFindsNothing: ["entries.cancelled"]
        case .missingIsLeftOut: ["entries.roundTrip"]
        case .keysByUnicode: ["entries.keysByBytes"]
        case .keysAreCut: ["limits.atLimit"]
        case .versionsPerKey: ["versions.increase", "versions.fence", "entries.history"]
        case .olderVersionsAreAccepted: ["versions.fence"]
        case .completesUnconditionally: ["versions.fence", "commit.preconditions", "entries.history"]
        case .touchMakesVersion: ["versions.touch", "entries.history"]
        case .versionsBeforeTheLock: ["concurrency.versions"]
        case .versionsInBlocks: ["clients.versions"]
        case .opensAheadOfVersions: ["capabilities.owner", "reopen.owner"]
        case .everyClientIsOwner: ["clients.owner"]
        case .anyVersionOfNothing: ["commit.preconditions", "entries.history"]
        case .partlyCommitted: ["commit.atomic", "entries.history"]
        case .deleteReturnsVersion: ["commit.versions", "commit.preconditions"]
        case .keysTwice: ["commit.duplicateKey"]
        case .cancelledTasksWrite: ["commit.cancelled", "records.cancelled"]
        case .singleWritesAreUnconditional: ["commit.preconditions"]
        case .singleWritesOfLongKeys, .singleWritesOfLongValues, .singleUpdatesOfLongKeys: ["limits.rejected"]
        case .singleWritesIgnoreTheCapacity, .singleUpdatesIgnoreTheCapacity: ["limits.capacity"]
        case .cancelledSingleWrites, .cancelledSingleUpdates: ["commit.cancelled"]
        case .singleWritesAreRepeated: ["answers.commit"]
        case .singleUpdatesAreAllowed: ["updates.parity", "concurrency.updates"]
        case .singleUpdatesInTwoSteps: ["concurrency.updates"]
        case .singleUpdatesNeverExpire: ["updates.entries"]
        case .cancelledAfterwards: ["commit.cancelledMidway", "records.cancelledMidway"]
        case .presentAtTheEnd: ["expiry.boundary"]
        case .conditionsAtTheEnd: ["expiry.oneBoundary"]
        case .wholeSeconds: ["expiry.subSecond", "expiry.boundary", "claim.boundary"]
        case .expiryIsIgnored: ["expiry.boundary", "expiry.subSecond", "expiry.absent", "expiry.create"]
        case .endsInASecondStep: ["concurrency.expiry"]
        case .expiredHasItsVersion: ["expiry.absent", "commit.preconditions"]
        case .scanShowsExpired: ["expiry.absent", "entries.history"]
        case .expiredBlocksCreate: ["expiry.create", "commit.preconditions"]
        case .neverMeansKeep: ["expiry.keep", "entries.history"]
        case .touchAddsToTheEnd: ["expiry.touch", "entries.history"]
        case .overflow: ["expiry.extremes"]
        case .coarseClock: ["updates.parity"]
        case .partlyUpdated: ["updates.allOrNothing", "updates.parity"]
        case .updatesNeverExpire: ["updates.entries", "concurrency.expiry"]
        case .scanBySpace: ["scan.prefix"]
        case .afterIncludes: ["scan.pages"]
        case .offsets: ["scan.whileWriting"]
        case .limitTooSmall: ["limits.atLimit"]
        case .noLimits: ["limits.rejected", "records.limits"]
        case .valuesAreCut: ["limits.rejected"]
        case .evicts: ["limits.capacity"]
        case .expiredTakesRoom: ["limits.capacity"]
        case .checksDoNotLock: ["concurrency.checks"]
        case .checksThenWaits: ["concurrency.createOnce", "concurrency.compareAndSet"]
        case .updatesThenWaits: ["concurrency.updates"]
        case .tornReads: ["concurrency.snapshot"]
        case .staleReplica: ["concurrency.linearizable"]
        case .deadlocks: ["concurrency.keyOrder"]
        case .enqueueReplaces: ["records.idempotent", "records.history"]
        case .enqueuesOnConflict: ["records.commit"]
        case .idsAreEnough, .deadLetterIsPending: ["records.idempotent", "records.taken", "records.history"]
        case .takenIsLeftOut: ["records.taken", "records.history"]
        case .deadLetterSinceTheLease: ["records.due"]
        case .abandonedIsFailed: ["claim.abandoned", "settle.holdBack", "records.history"]
        case .failedIsAbandoned: ["claim.abandoned", "records.history"]
        case .holdingBackCounts, .heldBackIsSettled: ["settle.holdBack", "records.history"]
        case .openingSettles: ["reopen.leases", "crash.leases"]
        case .leasesAreNotDue: ["records.nextDue", "records.history"]
        case .retryingIsDeadLetter: ["records.counts", "records.history"]
        case .pagesByText: ["records.page"]
        case .pagesByOffset: ["records.pageWhileWriting"]
        case .namesAreTrimmed: ["records.names"]
        case .queuesByUnicode: ["records.names"]
        case .recordsEvict: ["records.capacity"]
        case .fullStoreRejectsRemovals: ["records.capacity"]
        case .retriesInSteps: ["records.oneStep"]
        case .claimsInAnyOrder: ["claim.order", "records.history"]
        case .noLease: ["claim.exclusive", "claim.boundary", "claim.manyClaimers"]
        case .claimKeepsToken: ["claim.attempts", "settle.stale"]
        case .attemptsOfRetries: ["claim.attempts", "records.history"]
        case .claimsThenWaits: ["claim.manyClaimers"]
        case .doneTwice: ["settle.done"]
        case .settlesByID: ["settle.stale", "settle.done", "clients.claims"]
        case .retryKeepsToken: ["settle.retry"]
        case .extendsTheLease: ["settle.extend"]
        case .redriveKeepsAttempts: ["settle.dead"]
        case .staleStopsTheRest: ["settle.several"]
        case .settlesThenWaits: ["settle.race"]
        case .reasonsAreLost: ["settle.reason", "settle.dead", "records.page"]
        case .emptyIsDeleted: ["reopen.entries", "crash.entries"]
        case .deletedComeBack: ["reopen.entries", "crash.entries"]
        case .versionsFromWhatIsLeft: ["reopen.versions", "crash.versions"]
        case .expiryRestarts: ["reopen.expiry", "crash.expiry"]
        case .forgetsAttempts: ["reopen.records", "crash.records", "reopen.leases", "crash.leases"]
        case .leasesOfThePreviousOwner: ["reopen.leases", "crash.leases"]
        case .ownerIsAlwaysTheFirst: ["reopen.owner", "crash.owner"]
        case .acknowledgesEarly: ["crash.underWay", "crash.entries"]
        case .tornCommits: ["crash.underWay"]
        case .readsThroughACache: ["clients.oneStore"]
        case .endsByTheClient: ["clients.oneClock"]
        case .dueByTheClient: ["clients.dueTimes"]
        case .locksPerClient: ["clients.createOnce", "clients.claims"]
        case .lostIsFailed: ["answers.commit", "answers.update", "answers.records"]
        case .lostIsRepeated: ["answers.commit", "answers.update", "answers.records"]
        case .deadLetterPagesByOffset: ["records.pageWhileWriting"]
        case .payloadsAreTexts: ["records.payloads"]
        case .countersAreDoubles: ["updates.numbers", "updates.parity"]
        case .namesAreJoined: ["records.names"]
        case .delaysOverflow: ["records.extremes"]
        case .limitsOverflow: ["scan.pages", "records.page"]
        case .updateExpiryOverflows: ["expiry.extremes"]
        case .enqueuesThenWaits: ["records.enqueueOnce"]
        case .touchesWriteBack: ["concurrency.touch"]
        case .updatesLockApart: ["concurrency.deletes"]
        case .claimsAmongTheFirst: ["claim.manyClaimers"]
        case .dueIsNeverNegative: ["records.nextDue", "records.history"]
        case .readsExtend: ["expiry.boundary", "expiry.keep", "entries.history"]
        case .doneIsRemembered: ["records.idempotent", "settle.done", "records.history"]
        case .keepMeansNever: ["expiry.keep", "entries.history"]
        case .expiryOfACommit: ["expiry.keep", "entries.history"]
        case .conflictsFromBefore: ["concurrency.createOnce"]
        case .filtersAfterTheLimit: ["scan.whileWriting"]
        case .scansWithoutExpiry: ["scan.prefix", "entries.history"]
        case .keysEndAtNUL: ["entries.keysByBytes"]
        case .upToSeconds: ["expiry.boundary", "expiry.subSecond", "claim.boundary"]
        case .failsWhenBusy: ["crash.underWay", "concurrency.keyOrder"]
        case .limitsAreLow: ["capabilities.owner"]
        case .lostIsDone: ["answers.commit", "answers.update", "answers.records"]
        }
    }

    /// A Boolean value that indicates whether the mistake needs a store with a single owner.
    var needsOwner: Bool {
        switch self {
        case .opensAheadOfVersions, .leasesOfThePreviousOwner, .ownerIsAlwaysTheFirst, .openingSettles: true
        default: false
        }
    }
}
