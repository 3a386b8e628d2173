/// What a ``NaiveStore`` can get wrong.
///
/// Most of these are in stores that people use; those with a name of their own for it say so.
enum Mistake: String, CaseIterable {
    // Entries and keys.
    case emptyIsMissing
    /// Whatever goes wrong with a read is an empty answer.
    case cancelledFindsNothing
    /// For a key without an entry nothing is returned, so that the others move up.
    case missingIsLeftOut
    /// Keys are compared as texts, by canonical equivalence.
    case keysByUnicode
    /// Keys are cut where an index ends.
    case keysAreCut
    /// Keys are texts of C.
    case keysEndAtNUL

    // Versions.
    /// Each key counts for itself, and from the beginning again after a delete or an expiry: what a late worker holds
    /// is valid again.
    case versionsPerKey
    /// A fence lets pass what is old, and holds up only what was never issued.
    case olderVersionsPass
    /// A claim is completed by its key, whatever became of it: the worker that was too late overwrites the result of
    /// the next.
    case completesUnconditionally
    case touchMakesVersion
    /// The number is taken before the lock on the row.
    case versionsBeforeTheLock
    /// Each client takes numbers in blocks, as from a sequence with a cache.
    case versionsInBlocks
    /// A store with one owner counts its own versions as those of the owner before.
    case opensInTheFuture
    /// And so does one that many use.
    case everyClientIsOwner

    // Commits.
    /// A compare-and-set of a key that is missing succeeds.
    case anyVersionOfNothing
    /// Several operations without a way back: what came before the failure stays.
    case partlyCommitted
    case deleteReturnsVersion, keysTwice, cancelledTasksWrite
    /// What is in the way was read before the lock was there.
    case conflictsFromBefore
    /// The cancellation is noticed after the write, and told as if there had been none.
    case cancelledAfterwards

    // Expiry.
    /// One clock comparison is `<`, another `<=`.
    case aliveAtTheEnd
    /// Reads and conditions disagree about the last instant.
    case conditionsAtTheEnd
    /// Lives are cut to whole seconds: 500 ms become nothing, or for ever.
    case wholeSeconds
    /// Lives are not supported, and nobody is told.
    case livesAreIgnored
    /// The end is set by a second command: a reader in between, or a crash, meets an entry that lives for ever.
    case endsInASecondStep
    case expiredHasItsVersion, scanShowsExpired
    /// An entry that has expired blocks its key until a periodic cleaner has removed it.
    case expiredBlocksCreate
    /// No life given means the old one.
    case neverMeansKeep
    /// A renewal adds to the old end and not to now.
    case touchAddsToTheEnd
    case overflow
    /// Lives are whole seconds, and never too short.
    case upToSeconds
    /// Lives belong to the commit and not to each of its writes.
    case livesOfACommit
    /// A write without a life of its own removes the end.
    case keepMeansNever
    /// Whoever reads an entry lets it live on.
    case readsProlong

    // Updates.
    case coarseClock, partlyUpdated, updatesLiveForEver
    /// The script's only numbers are floating-point.
    case countersAreDoubles
    /// Milliseconds in 32 bits.
    case updateLivesOverflow

    // Scans.
    case scanBySpace, afterIncludes, scansWithoutLives
    /// The limit counts what has expired, and a page that is not full is taken for the last.
    case filtersAfterTheLimit
    /// One more than the limit is asked for, to see whether there is more.
    case limitsOverflow
    /// Pages are counted off: what is deleted before moves what comes after.
    case offsets

    // Limits.
    case limitTooSmall, noLimits, limitsAreLow
    /// A value that is too long is cut.
    case valuesAreCut
    case evicts, expiredTakesRoom

    // Concurrency.
    /// Only the rows that are written are locked, not those that are read.
    case checksDoNotLock
    case checksThenWaits, updatesThenWaits, tornReads, staleReplica
    /// Locks are taken in the order of the caller, and two that wait for each other are told so.
    case deadlocks
    /// One writer at a time, and the others are sent away.
    case failsWhenBusy
    /// A touch reads the row and writes all of it.
    case touchesWriteBack
    /// Updates lock out each other, and no commit.
    case updatesLockApart

    // Records.
    case enqueueReplaces, enqueuesOnConflict, leasesAreNotDue
    /// Whatever has the same id counts as the same: what is new is lost, and nobody is told.
    case identitiesAreEnough
    /// One that is dead counts as one that is there.
    case deadIsThere
    /// On conflict do nothing: the data is committed without its message.
    case takenIsLeftOut
    /// Since when a record is dead is not stored.
    case deadSinceTheLease
    /// What waits for its retry is failed, and cleaned away with the failed.
    case waitingIsDead
    case pagesByText, pagesByOffset, deadPagesByOffset
    /// Names are texts, of a database that ignores blanks at the end.
    case namesAreTrimmed
    /// A record's key is its queue's name and its own with a colon between, which both may contain.
    case namesAreJoined
    case payloadsAreTexts
    /// A wait past all bounds is over at once.
    case delaysOverflow
    case dueIsNegative
    /// Select, then insert or replace.
    case enqueuesThenWaits
    /// Who was in the queue once never comes again.
    case doneIsRemembered
    /// Queues are compared as texts, by canonical equivalence.
    case queuesByUnicode
    case recordsEvict
    /// A full store refuses every write, also those that would empty it.
    case fullStoreIsStuck
    /// A retry takes the record out, and puts it in again.
    case retriesInSteps
    case claimsInAnyOrder, noLease, claimKeepsToken
    /// What fails counts, what crashes does not: a record that kills its workers does so for ever.
    case attemptsOfRetries
    case claimsThenWaits
    /// A delivery that nobody settled is like one that failed.
    case nobodyIsAbandoned
    /// A delivery that failed is like one that nobody settled.
    case abandonedByAttempts
    case holdingBackCounts, heldBackIsSettled
    /// The leases of the owner that is gone count as given back.
    case openingSettles
    /// The first hundred are read, and then what is not due is left out.
    case claimsAmongTheFirst

    // Settlements.
    case doneTwice
    /// Completion by the id: a worker whose lease ended completes, fails or prolongs what is another's.
    case settlesByID
    case retryKeepsToken, extendsTheLease, redriveKeepsAttempts, staleStopsTheRest
    /// Select, then update without the condition.
    case settlesThenWaits
    /// The text of the last error is not kept.
    case reasonsAreLost

    // Opened again.
    /// An entry without a value is taken for one that was deleted.
    case emptyIsDeleted
    /// The deletes are not stored.
    case deletedComeBack
    /// The next version follows the highest that is there: those of deleted entries come again.
    case versionsFromWhatIsLeft
    /// The life that is left is stored, not the end: it begins anew.
    case livesBeginAnew
    case forgetsAttempts
    /// Nobody tells the leases of the owner that is gone from those of one that lives.
    case leasesOfTheDead
    case ownerIsAlwaysTheFirst
    /// Acknowledged before it is durable.
    case acknowledgesEarly
    case tornCommits

    // Several clients.
    case readsThroughACache
    /// A client computes when an entry ends, by its own clock.
    case endsByTheClient
    /// A client computes when a record is due, by its own clock; the server compares with another.
    case dueByTheClient
    /// Each process locks for itself.
    case locksPerClient

    // Lost answers.
    /// A connection that breaks is a failure, whatever was done before.
    case lostIsFailed
    /// The client tries again, and takes its own first attempt for another's.
    case lostIsRepeated
    case lostIsDone

    /// The checks that must find it.
    var checks: [String] {
        switch self {
        case .emptyIsMissing: ["entries.roundTrip", "entries.history"]
        case .cancelledFindsNothing: ["entries.cancelled"]
        case .missingIsLeftOut: ["entries.roundTrip"]
        case .keysByUnicode: ["entries.keysByBytes"]
        case .keysAreCut: ["limits.atLimit"]
        case .versionsPerKey: ["versions.increase", "versions.fence", "entries.history"]
        case .olderVersionsPass: ["versions.fence"]
        case .completesUnconditionally: ["versions.fence", "commit.preconditions", "entries.history"]
        case .touchMakesVersion: ["versions.touch", "entries.history"]
        case .versionsBeforeTheLock: ["concurrency.versions"]
        case .versionsInBlocks: ["clients.versions"]
        case .opensInTheFuture: ["capabilities.owner", "reopen.owner"]
        case .everyClientIsOwner: ["clients.owner"]
        case .anyVersionOfNothing: ["commit.preconditions", "entries.history"]
        case .partlyCommitted: ["commit.atomic", "entries.history"]
        case .deleteReturnsVersion: ["commit.versions", "commit.preconditions"]
        case .keysTwice: ["commit.duplicateKey"]
        case .cancelledTasksWrite: ["commit.cancelled", "records.cancelled"]
        case .cancelledAfterwards: ["commit.cancelledMidway", "records.cancelledMidway"]
        case .aliveAtTheEnd: ["expiry.boundary"]
        case .conditionsAtTheEnd: ["expiry.oneBoundary"]
        case .wholeSeconds: ["expiry.subSecond", "expiry.boundary", "claim.boundary"]
        case .livesAreIgnored: ["expiry.boundary", "expiry.subSecond", "expiry.absent", "expiry.create"]
        case .endsInASecondStep: ["concurrency.expiry"]
        case .expiredHasItsVersion: ["expiry.absent", "commit.preconditions"]
        case .scanShowsExpired: ["expiry.absent", "entries.history"]
        case .expiredBlocksCreate: ["expiry.create", "commit.preconditions"]
        case .neverMeansKeep: ["expiry.keep", "entries.history"]
        case .touchAddsToTheEnd: ["expiry.touch", "entries.history"]
        case .overflow: ["expiry.extremes"]
        case .coarseClock: ["updates.parity"]
        case .partlyUpdated: ["updates.allOrNothing", "updates.parity"]
        case .updatesLiveForEver: ["updates.entries", "concurrency.expiry"]
        case .scanBySpace: ["scan.prefix"]
        case .afterIncludes: ["scan.pages"]
        case .offsets: ["scan.whileWriting"]
        case .limitTooSmall: ["limits.atLimit"]
        case .noLimits: ["limits.refused", "records.limits"]
        case .valuesAreCut: ["limits.refused"]
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
        case .identitiesAreEnough, .deadIsThere: ["records.idempotent", "records.taken", "records.history"]
        case .takenIsLeftOut: ["records.taken", "records.history"]
        case .deadSinceTheLease: ["records.due"]
        case .nobodyIsAbandoned: ["claim.abandoned", "settle.holdBack", "records.history"]
        case .abandonedByAttempts: ["claim.abandoned", "records.history"]
        case .holdingBackCounts, .heldBackIsSettled: ["settle.holdBack", "records.history"]
        case .openingSettles: ["reopen.leases", "crash.leases"]
        case .leasesAreNotDue: ["records.nextDue", "records.history"]
        case .waitingIsDead: ["records.counts", "records.history"]
        case .pagesByText: ["records.page"]
        case .pagesByOffset: ["records.pageWhileWriting"]
        case .namesAreTrimmed: ["records.names"]
        case .queuesByUnicode: ["records.names"]
        case .recordsEvict: ["records.capacity"]
        case .fullStoreIsStuck: ["records.capacity"]
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
        case .livesBeginAnew: ["reopen.expiry", "crash.expiry"]
        case .forgetsAttempts: ["reopen.records", "crash.records", "reopen.leases", "crash.leases"]
        case .leasesOfTheDead: ["reopen.leases", "crash.leases"]
        case .ownerIsAlwaysTheFirst: ["reopen.owner", "crash.owner"]
        case .acknowledgesEarly: ["crash.underWay", "crash.entries"]
        case .tornCommits: ["crash.underWay"]
        case .readsThroughACache: ["clients.oneStore"]
        case .endsByTheClient: ["clients.oneClock"]
        case .dueByTheClient: ["clients.dueTimes"]
        case .locksPerClient: ["clients.createOnce", "clients.claims"]
        case .lostIsFailed: ["answers.commit", "answers.update", "answers.records"]
        case .lostIsRepeated: ["answers.commit", "answers.update", "answers.records"]
        case .deadPagesByOffset: ["records.pageWhileWriting"]
        case .payloadsAreTexts: ["records.payloads"]
        case .countersAreDoubles: ["updates.numbers", "updates.parity"]
        case .namesAreJoined: ["records.names"]
        case .delaysOverflow: ["records.extremes"]
        case .limitsOverflow: ["scan.pages", "records.page"]
        case .updateLivesOverflow: ["expiry.extremes"]
        case .enqueuesThenWaits: ["records.enqueueOnce"]
        case .touchesWriteBack: ["concurrency.touch"]
        case .updatesLockApart: ["concurrency.deletes"]
        case .claimsAmongTheFirst: ["claim.manyClaimers"]
        case .dueIsNegative: ["records.nextDue", "records.history"]
        case .readsProlong: ["expiry.boundary", "expiry.keep", "entries.history"]
        case .doneIsRemembered: ["records.idempotent", "settle.done", "records.history"]
        case .keepMeansNever: ["expiry.keep", "entries.history"]
        case .livesOfACommit: ["expiry.keep", "entries.history"]
        case .conflictsFromBefore: ["concurrency.createOnce"]
        case .filtersAfterTheLimit: ["scan.whileWriting"]
        case .scansWithoutLives: ["scan.prefix", "entries.history"]
        case .keysEndAtNUL: ["entries.keysByBytes"]
        case .upToSeconds: ["expiry.boundary", "expiry.subSecond", "claim.boundary"]
        case .failsWhenBusy: ["crash.underWay", "concurrency.keyOrder"]
        case .limitsAreLow: ["capabilities.owner"]
        case .lostIsDone: ["answers.commit", "answers.update", "answers.records"]
        }
    }

    /// Whether it is one of a store with a single owner.
    var needsOwner: Bool {
        switch self {
        case .opensInTheFuture, .leasesOfTheDead, .ownerIsAlwaysTheFirst, .openingSettles: true
        default: false
        }
    }
}
