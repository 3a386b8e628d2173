internal import ReliabilityCore
internal import ReliabilityStore

/// A value in the memory of a tiered cache.
@usableFromInline
struct HeldValue<Value: Sendable>: Sendable {
    @usableFromInline let value: Value
    /// The place of the load's start in the order of the store, or `nil` for a load without the store.
    let start: StoreVersion?
    /// The time at which the load of the source began, or the lowest number for a value of the store.
    let began: Int64
    /// The lease for a load in the background, or `nil` if no load is due.
    @usableFromInline let refresh: RefreshTicket<Value>?

    init(_ value: Value, start: StoreVersion?, began: Int64 = .min, refresh: RefreshTicket<Value>? = nil) {
        self.value = value
        self.start = start
        self.began = began
        self.refresh = refresh
    }

    /// Returns whether the load of the value began after a write.
    func isAfter(_ version: StoreVersion) -> Bool { start.map { $0 > version } ?? false }
}

/// A lease that the first reader of a stale value takes for a load in the background.
@usableFromInline
final class RefreshTicket<Value: Sendable>: Sendable {
    let lease: TierLease<Value>
    private let isTaken = Lock(false)

    init(_ lease: TierLease<Value>) { self.lease = lease }

    /// Returns whether the caller must start the load.
    func take() -> Bool {
        isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
    }
}

/// The right of this process to fill the entry of a key.
struct TierLease<Value: Sendable>: Sendable {
    /// The token, which is the place of the load's start.
    let token: StoreVersion
    /// The value that the load replaces, or `nil`.
    let stale: StaleValue<Value>?
}

/// A value of the store after its lifetime.
struct StaleValue<Value: Sendable>: Sendable {
    let value: Value
    let start: StoreVersion
    let version: UInt64?
    let tags: Set<String>
    /// The reading of the clock at the end of the lifetime.
    let expiry: Int64
}

/// The demand of a read on the load that the read starts.
enum ReadDemand: Sendable {
    /// The load reads the source.
    case fresh
    /// The load began after a write.
    case after(StoreVersion)
    /// The load uses a ``RefreshTicket``.
    case refresh(any Sendable)

    /// The demand of the current read, or `nil` for a read without a demand.
    @TaskLocal static var current: ReadDemand?
}
