internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// A small store during its preparation, with the model of its content.
///
/// A compaction runs only when the recording requests it. The recording therefore determines the files.
struct StoreRecording {
    private(set) var fileSystem: SimulatedFileSystem
    /// The store's clock.
    private(set) var now: Int64
    private(set) var model = ModelStore()
    /// The state before the last frame.
    private(set) var modelBefore = ModelStore()
    /// The place of the last frame in the last segment, or an empty range just after an opening.
    private(set) var lastFrame = 0..<0
    /// The name of the last segment.
    private(set) var lastName = ""
    /// The names of the files that an opening needs.
    private(set) var neededNames: Set<String> = []
    private let interval: Int64
    private var store: SimulatedStore?

    /// Creates a recording without a store.
    ///
    /// - Parameters:
    ///   - seed: The seed of the random numbers in the files.
    ///   - now: The wall clock of the first opening.
    ///   - interval: The time in nanoseconds before each frame.
    init(seed: UInt64, now: Int64, interval: Int64) {
        fileSystem = SimulatedFileSystem(seed: seed)
        self.now = now
        self.interval = interval
    }

    /// The content of all files.
    var files: [String: [UInt8]] {
        Dictionary(uniqueKeysWithValues: fileSystem.disk.names.map { ($0.name, fileSystem.disk.files[$0.file].bytes) })
    }

    /// The end of the frames in the last segment.
    var end: Int {
        let log = fileSystem.disk.bytes(of: lastName) ?? []
        return ((log.lastIndex { $0 != 0 } ?? 0) + 512) / 512 * 512
    }

    /// Opens the store with an owner who runs the frames.
    mutating func open(_ tuning: LogTuning, _ frames: [[WorkloadOperation]] = []) {
        fileSystem = fileSystem.restarted()
        guard let store = try? SimulatedStore(fileSystem, unixTime: now, tuning: tuning) else {
            preconditionFailure("the store cannot be opened")
        }
        self.store = store
        model.reopen(nextVersion: store.capabilities.openedAt?.rawValue ?? 1, now: now)
        modelBefore = model
        update(store)
        lastFrame = end..<end
        for operations in frames { frame(operations) }
    }

    private mutating func update(_ store: SimulatedStore) {
        lastName = store.logName
        neededNames = store.neededFileNames
    }

    /// Makes calls that share a frame and returns the answers.
    @discardableResult
    mutating func frame(_ operations: [WorkloadOperation]) -> [StoreAnswer] {
        guard let store else { preconditionFailure("the store is not open") }
        let (name, start) = (lastName, end)
        modelBefore = model
        store.advance(by: interval)
        now = store.now
        let tickets = operations.map { store.submit($0) }
        let expected = operations.map { model.apply($0, now: now) }
        precondition(tickets.map(\.answer) == expected, "\(tickets) instead of \(expected)")
        while tickets.contains(where: { store.answer(to: $0) == nil }) { step(store) }
        update(store)
        lastFrame = (lastName == name ? start : endOfManifest)..<end
        return expected
    }

    private var endOfManifest: Int {
        let log = fileSystem.disk.bytes(of: lastName) ?? []
        return 512 + LogFormat.frameSize(payload: log.number(at: 512 + 8))
    }

    private func step(_ store: SimulatedStore) {
        precondition(store.finishStep() || store.beginStep(), "the store has no step")
    }

    /// Executes all steps of the maintenance.
    mutating func settle() {
        guard let store else { return }
        store.settle()
        update(store)
        lastFrame = end..<end
    }

    /// Executes steps until the store needs `count` checkpoint files.
    mutating func compact(untilFiles count: Int) {
        guard let store else { return }
        while store.neededFileNames.count(where: { $0.hasPrefix("checkpoint-") }) < count { step(store) }
        update(store)
        lastFrame = end..<end
    }

    /// Ends the owner, who closes the store or disappears.
    mutating func end(closing: Bool) {
        if closing { store?.close() }
        store = nil
    }
}
