internal import ReliabilityCore

// The stores on servers count times in microseconds since 1970.

extension Duration {
    /// The duration in whole microseconds, rounded up, between 0 and 2^53 - 1, which is 285 years.
    package var microsecondsUp: Int64 {
        let nanoseconds = max(0, saturatingNanoseconds)
        let microseconds = nanoseconds / 1000 + (nanoseconds % 1000 == 0 ? 0 : 1)
        return min(microseconds, (1 << 53) - 1)
    }

    /// Returns the time from `now` until an instant.
    package static func untilMicrosecond(_ instant: Int64, from now: Int64) -> Duration {
        .microseconds(instant.saturatingSubtract(now))
    }
}

extension EnqueueResult {
    /// Creates a result from the number that the servers return.
    package init(flag: Int64) throws(StoreError) {
        switch flag {
        case 0: self = .enqueued
        case 1: self = .duplicate
        case 2: self = .taken(by: .pending)
        case 3: self = .taken(by: .deadLetter)
        default: throw .malformedReply
        }
    }
}

extension StoreError {
    package static var malformedReply: StoreError { StoreError(.failed, "the server sent a malformed reply") }
}

extension StoreError {
    /// Runs a user's function that returns a client, and translates an error of another type.
    package static func translatingFailure<Client>(
        _ connect: () async throws -> Client
    ) async throws(StoreError) -> Client {
        do { return try await connect() } catch let error as StoreError { throw error } catch {
            throw StoreError(.unavailable, "the client did not connect", underlyingError: error)
        }
    }
}
