import ReliabilityCore
import ReliabilityStore

/// A store that fails, stalls or lies about its opening as a test tells it to, over one in memory.
final class StoreDouble: KeyValueStore {
    enum Fault: Sendable {
        /// Throw, and nothing has happened.
        case before(StoreError.Reason)
        /// Throw, and it has happened.
        case after(StoreError.Reason)
        /// Cancel the calling task, then go on.
        case cancelBefore
        /// Go on, then cancel the calling task.
        case cancelAfter
        /// Wait until the calling task is cancelled, then throw; nothing has happened.
        case hang
    }

    private struct State {
        var calls = 0
        var faults: [Int: Fault] = [:]
        var always: Fault?
    }

    let memory: InMemoryStore
    let capabilities: StoreCapabilities
    private let state = Lock(State())
    private let choose: (@Sendable () -> Fault?)?

    init(
        _ memory: InMemoryStore,
        openedAt: StoreVersion? = nil,
        isShared: Bool = false,
        canStall: Bool = false,
        maximumValueBytes: Int? = nil,
        choose: (@Sendable () -> Fault?)? = nil
    ) {
        self.memory = memory
        var capabilities = memory.capabilities
        if let openedAt { capabilities.openedAt = openedAt }
        if isShared { capabilities.openedAt = nil }
        if let maximumValueBytes { capabilities.maximumValueBytes = maximumValueBytes }
        capabilities.canStall = canStall
        self.capabilities = capabilities
        self.choose = choose
    }

    /// The fault of every call from now on.
    func failAlways(_ fault: Fault?) { state.withLock { $0.always = fault } }

    /// The fault of the n-th call from now, from 1.
    func fail(_ call: Int, _ fault: Fault) { state.withLock { $0.faults[$0.calls + call] = fault } }

    /// How many calls there were.
    var calls: Int { state.withLock { $0.calls } }

    private func faulty<Success: Sendable>(
        _ operation: () async throws(StoreError) -> Success
    ) async throws(StoreError) -> Success {
        let fault = state.withLock { state in
            state.calls += 1
            return state.faults[state.calls] ?? state.always
        }
        switch fault ?? choose?() {
        case nil: return try await operation()
        case .before(let reason): throw StoreError(reason, "told to fail before")
        case .after(let reason):
            _ = try await operation()
            throw StoreError(reason, "told to fail after")
        case .cancelBefore:
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await operation()
        case .cancelAfter:
            let success = try await operation()
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return success
        case .hang:
            let never = AsyncStream<Never> { _ in }
            for await _ in never {}
            throw StoreError(.cancelled, "cancelled while it hung")
        }
    }

    func get(_ keys: [StoreKey]) async throws(StoreError) -> [StoreEntry?] {
        try await faulty { () async throws(StoreError) in try await memory.get(keys) }
    }

    func commit(_ writes: [StoreWrite]) async throws(StoreError) -> CommitResult {
        try await faulty { () async throws(StoreError) in try await memory.commit(writes) }
    }

    func update(
        _ updates: [(key: StoreKey, update: AtomicUpdate)]
    ) async throws(StoreError) -> UpdateResult {
        try await memory.update(updates)
    }

    func scan(_ prefix: StoreKey, after: StoreKey?, limit: Int) async throws(StoreError) -> StorePage {
        try await memory.scan(prefix, after: after, limit: limit)
    }
}

/// A door that tasks wait at until it is opened.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var arrivals = 0
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Lock(State())

    /// Waits, whether cancelled or not, until the gate is open.
    func pass() async {
        await withCheckedContinuation { continuation in
            let (isOpen, watchers) = state.withLock { state in
                state.arrivals += 1
                let arrivals = state.arrivals
                let ready = state.watchers.filter { $0.count <= arrivals }.map(\.continuation)
                state.watchers.removeAll { $0.count <= arrivals }
                if !state.isOpen { state.waiting.append(continuation) }
                return (state.isOpen, ready)
            }
            for watcher in watchers { watcher.resume() }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until `count` tasks have come to the gate.
    func waitForArrivals(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.arrivals >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
