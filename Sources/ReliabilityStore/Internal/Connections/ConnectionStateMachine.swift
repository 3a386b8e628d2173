internal import ReliabilityCore

/// The limits of a supervised connection.
package struct ConnectionLimits: Hashable, Sendable {
    /// The number of attempts to connect after which the server is gone.
    package var maxAttempts = 10
    /// The longest delay after the first failed attempt.
    ///
    /// The limit doubles with each attempt.
    package var firstDelay = Duration.milliseconds(100)
    /// The longest delay between two attempts.
    package var maxDelay = Duration.milliseconds(1500)
    /// The mean time between two attempts to reach a server that is gone, and between two checks of a degraded server.
    package var probeInterval = Duration.seconds(1)
    /// The time between two checks of a server that answers.
    package var checkInterval = Duration.seconds(2)
    /// The longest duration of an attempt or a check.
    package var attemptLimit = Duration.seconds(3)
    /// The number of failed calls within ``failureWindow`` after which the server is degraded.
    package var maxFailures = 3
    /// The time in which failed calls count together.
    package var failureWindow = Duration.seconds(60)

    package init() {}
}

/// The state of a supervised connection: connecting, ready, degraded, gone or closed.
///
/// Each attempt to connect has a number, and so has each check. A result with an old number is dropped.
struct ConnectionStateMachine<Client: Sendable>: Sendable {
    enum Phase {
        case connecting
        case ready(Client)
        /// Without a client if an attempt to connect found that the server does not keep a promise.
        case degraded(Client?)
        case gone
        case closed
    }

    /// The work that a transition requires.
    enum Action {
        /// Begin an attempt to connect, which ends at `limit`.
        case connect(number: UInt64, limit: Int64)
        /// Begin a check of the client, which ends at `limit`.
        case check(number: UInt64, Client, limit: Int64)
        /// Call `wake` at an instant.
        case wait(until: Int64)
        /// Close a client.
        case close(Client)
        /// Report a change of the state.
        case report(from: StoreConnectionState, to: StoreConnectionState, StoreError?)
    }

    let limits: ConnectionLimits
    private(set) var phase = Phase.connecting
    /// The number of the present attempt, or of the attempt that brought the present client.
    private(set) var number: UInt64 = 0
    /// The number of failed attempts in a row.
    private(set) var failedAttempts = 0
    private(set) var lastError: StoreError?
    /// A Boolean value that indicates whether an attempt or a check is under way.
    private var isBusy = false
    private var checkNumber: UInt64 = 0
    private var busyUntil = Int64.max
    private var wakeAt = Int64.max
    private var failures: [Int64] = []
    private var readySince: Int64 = 0
    /// The number of clients in a row that were lost soon.
    private var shortLives = 0
    /// The number of an attempt whose client was lost before the attempt ended.
    private var lostAttempt: UInt64?

    init(_ limits: ConnectionLimits) { self.limits = limits }

    var state: StoreConnectionState {
        switch phase {
        case .connecting: .connecting
        case .ready: .ready
        case .degraded: .degraded
        case .gone: .gone
        case .closed: .closed
        }
    }

    // MARK: Attempts

    /// Begins the first attempt.
    mutating func start(now: Int64) -> [Action] { [connect(now)] }

    private mutating func connect(_ now: Int64) -> Action {
        number += 1
        isBusy = true
        busyUntil = now.saturatingAdd(limits.attemptLimit.saturatingNanoseconds)
        wakeAt = busyUntil
        return .connect(number: number, limit: busyUntil)
    }

    /// Records that an attempt brought a client.
    mutating func connected(_ attempt: UInt64, _ client: Client, now: Int64, random: UInt64) -> [Action] {
        guard attempt == number, isBusy, !isClosed, self.client == nil else { return [.close(client)] }
        if lostAttempt == attempt {
            let error = lastError ?? StoreError(.unavailable, "the server closed the connection")
            return [.close(client)] + failedToConnect(attempt, error, now: now, random: random)
        }
        isBusy = false
        failedAttempts = 0
        readySince = now
        failures = []
        return change(to: .ready(client), nil) + [wait(limits.checkInterval, now)]
    }

    /// Records that an attempt failed.
    ///
    /// - Parameters:
    ///   - attempt: The number of the attempt.
    ///   - error: The error. The server answered unless the reason is `unavailable`.
    ///   - now: The present reading of the clock.
    ///   - random: Random bits.
    /// - Returns: The further work.
    mutating func failedToConnect(_ attempt: UInt64, _ error: StoreError, now: Int64, random: UInt64) -> [Action] {
        guard attempt == number, isBusy, !isClosed, client == nil else { return [] }
        isBusy = false
        failedAttempts += 1
        lastError = error
        if error.reason != .unavailable { return change(to: .degraded(nil), error) + [probe(now, random)] }
        if case .connecting = phase, failedAttempts < limits.maxAttempts {
            return [backOff(failedAttempts, now, random)]
        }
        return change(to: .gone, error) + [probe(now, random)]
    }

    // MARK: Checks

    private mutating func check(_ client: Client, _ now: Int64) -> Action {
        checkNumber += 1
        isBusy = true
        busyUntil = now.saturatingAdd(limits.attemptLimit.saturatingNanoseconds)
        wakeAt = busyUntil
        return .check(number: checkNumber, client, limit: busyUntil)
    }

    /// Records the result of a check, without an error after a success.
    mutating func checked(_ check: UInt64, _ error: StoreError?, now: Int64, random: UInt64) -> [Action] {
        guard check == checkNumber, isBusy, let client else { return [] }
        isBusy = false
        guard let error else {
            if case .degraded = phase { failures = [] }
            return change(to: .ready(client), nil) + [wait(limits.checkInterval, now)]
        }
        lastError = error
        // A client that cannot reach the server is replaced, because its own pool may wait much longer than this.
        if error.reason == .unavailable { return reconnect(error, now, random) }
        return change(to: .degraded(client), error) + [probe(now, random)]
    }

    /// Ends an attempt or a check that takes too long, or begins the next one.
    mutating func wake(now: Int64, random: UInt64) -> [Action] {
        if isClosed { return [] }
        if now < wakeAt { return [.wait(until: wakeAt)] }
        if isBusy {
            let error = StoreError(.unavailable, "the server did not answer within \(limits.attemptLimit)")
            if client != nil { return checked(checkNumber, error, now: now, random: random) }
            return failedToConnect(number, error, now: now, random: random)
        }
        if let client { return [check(client, now)] }
        return [connect(now)]
    }

    // MARK: Calls

    /// Records a failed call of the client with a number.
    mutating func failed(_ client: UInt64, _ error: StoreError, now: Int64) -> [Action] {
        guard client == number, case .ready(let present) = phase else { return [] }
        let start = now.saturatingSubtract(limits.failureWindow.saturatingNanoseconds)
        // A reading after now means that the clock was set back.
        failures.removeAll { $0 < start || $0 > now }
        failures.append(now)
        if failures.count < limits.maxFailures { return [] }
        lastError = error
        let change = change(to: .degraded(present), error)
        return isBusy ? change : change + [check(present, now)]
    }

    /// Records that the client with a number cannot be used any more.
    mutating func lost(_ lost: UInt64, _ error: StoreError, now: Int64, random: UInt64) -> [Action] {
        guard lost == number, !isClosed else { return [] }
        lastError = error
        if client == nil {
            lostAttempt = lost
            return []
        }
        return reconnect(error, now, random)
    }

    /// Replaces the client, immediately unless the client was lost soon.
    private mutating func reconnect(_ error: StoreError, _ now: Int64, _ random: UInt64) -> [Action] {
        guard let client else { return [] }
        failedAttempts = 0
        checkNumber += 1
        isBusy = false
        let isShort = now.saturatingSubtract(readySince) < limits.probeInterval.saturatingNanoseconds
        shortLives = isShort ? min(shortLives, .max - 1) + 1 : 0
        return change(to: .connecting, error) + [
            .close(client), shortLives == 0 ? connect(now) : backOff(shortLives, now, random),
        ]
    }

    /// Closes the connection.
    mutating func close() -> [Action] {
        if isClosed { return [] }
        let client = client
        return change(to: .closed, nil) + (client.map { [.close($0)] } ?? [])
    }

    // MARK: Parts

    var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// The client if the server is ready.
    var readyClient: Client? { if case .ready(let client) = phase { client } else { nil } }

    private var client: Client? {
        switch phase {
        case .ready(let client): client
        case .degraded(let client): client
        case .connecting, .gone, .closed: nil
        }
    }

    private mutating func change(to phase: Phase, _ error: StoreError?) -> [Action] {
        let old = state
        self.phase = phase
        return old == state ? [] : [.report(from: old, to: state, error)]
    }

    private mutating func wait(_ duration: Duration, _ now: Int64) -> Action {
        wakeAt = now.saturatingAdd(duration.saturatingNanoseconds)
        return .wait(until: wakeAt)
    }

    /// Waits for a random part of a time that doubles with each failure.
    private mutating func backOff(_ failures: Int, _ now: Int64, _ random: UInt64) -> Action {
        let doublings = Int64(min(failures - 1, 30))
        let longest = limits.firstDelay.saturatingNanoseconds.saturatingMultiply(1 << doublings)
        let delay = Self.share(min(longest, limits.maxDelay.saturatingNanoseconds), random)
        return wait(.nanoseconds(delay), now)
    }

    /// Waits for half to one and a half of the probe's interval.
    private mutating func probe(_ now: Int64, _ random: UInt64) -> Action {
        let interval = limits.probeInterval.saturatingNanoseconds
        return wait(.nanoseconds((interval / 2).saturatingAdd(Self.share(interval, random))), now)
    }

    /// Returns a random part of a length.
    private static func share(_ length: Int64, _ random: UInt64) -> Int64 {
        Int64(random.multipliedFullWidth(by: UInt64(max(0, length)) + 1).high)
    }
}
