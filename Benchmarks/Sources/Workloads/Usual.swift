import Foundation
import Synchronization

/// The textbook timeout: the operation and a sleep in a task group, whoever ends first.
func withUsualTimeout<Success: Sendable>(
    _ limit: Duration,
    operation: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    try await withThrowingTaskGroup(of: Success.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw CancellationError()
        }
        defer { group.cancelAll() }
        guard let success = try await group.next() else { throw CancellationError() }
        return success
    }
}

/// The textbook retry: a loop and a doubling sleep.
func withUsualRetry<Success>(
    attempts: Int,
    operation: () async throws -> Success
) async throws -> Success {
    var attempt = 1
    while true {
        do {
            return try await operation()
        } catch {
            if attempt >= attempts { throw error }
            try await Task.sleep(for: .milliseconds(100 << attempt))
            attempt += 1
        }
    }
}

/// The textbook circuit breaker: an actor that counts failures in a row.
actor UsualBreaker {
    private var failures = 0
    private var openUntil: ContinuousClock.Instant?

    func call<Success: Sendable>(_ operation: @Sendable () async throws -> Success) async throws -> Success {
        if let openUntil, ContinuousClock.now < openUntil { throw CancellationError() }
        do {
            let success = try await operation()
            failures = 0
            openUntil = nil
            return success
        } catch {
            failures += 1
            if failures >= 5 { openUntil = .now + .seconds(30) }
            throw error
        }
    }
}

/// The textbook semaphore: an actor with a list of waiting callers.
actor UsualSemaphore {
    private var places: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { self.places = places }

    func wait() async {
        if places > 0 { places -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    }

    func signal() {
        if waiting.isEmpty { places += 1 } else { waiting.removeFirst().resume() }
    }
}

/// The textbook cache: a dictionary under a lock, without a bound, and a load for each call that misses.
final class UsualCache: Sendable {
    private let entries = Mutex<[Int: (value: Int, expiry: ContinuousClock.Instant)]>([:])

    func value(for key: Int, _ load: (Int) async throws -> Int) async throws -> Int {
        let now = ContinuousClock.now
        if let entry = entries.withLock({ $0[key] }), now < entry.expiry { return entry.value }
        let value = try await load(key)
        entries.withLock { $0[key] = (value, now + .seconds(3600)) }
        return value
    }

    func put(_ value: Int, for key: Int) {
        entries.withLock { $0[key] = (value, .now + .seconds(3600)) }
    }
}

/// The cache of Foundation, which has no expiry.
final class FoundationCache: @unchecked Sendable {
    private final class Box {
        let value: Int
        init(_ value: Int) { self.value = value }
    }

    // @unchecked Sendable: NSCache has a lock of its own.
    private let cache = NSCache<NSNumber, Box>()

    func value(for key: Int, _ load: (Int) async throws -> Int) async throws -> Int {
        let name = NSNumber(value: key)
        if let box = cache.object(forKey: name) { return box.value }
        let value = try await load(key)
        cache.setObject(Box(value), forKey: name)
        return value
    }
}
