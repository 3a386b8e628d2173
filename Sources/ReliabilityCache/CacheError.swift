public import ReliabilityCore

/// The error of a read that a cache did not answer.
public struct CacheError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The reason of the error.
    @nonexhaustive
    public enum Reason: Hashable, Sendable, CaseIterable {
        /// The load did not end within ``CacheConfiguration/loadTimeout``.
        case loadTimeout
        /// The deadline of the call passed.
        case deadline
        /// The load did not begin because the highest number of loads were running.
        case overloaded
        /// The call is part of the load that the call would wait for.
        case recursiveLoad
        /// The store of a ``TieredCache`` did not answer, and its failure mode is `failClosed`.
        case storeUnavailable
    }

    /// The reason.
    public let reason: Reason

    init(_ reason: Reason) { self.reason = reason }

    /// The code of the reason, such as `cache.load_timeout`.
    public var code: ErrorCode {
        switch reason {
        case .loadTimeout: "cache.load_timeout"
        case .deadline: "cache.deadline"
        case .overloaded: "cache.overloaded"
        case .recursiveLoad: "cache.recursive_load"
        case .storeUnavailable: "cache.store_unavailable"
        }
    }

    /// The category `timeout`, `unavailable` for an overloaded cache or a store that is down, or `internal` for a
    /// recursive load.
    public var category: ErrorCategory {
        switch reason {
        case .loadTimeout, .deadline: .timeout
        case .overloaded, .storeUnavailable: .unavailable
        case .recursiveLoad: .internal
        }
    }

    /// The message for clients.
    public var message: String {
        switch reason {
        case .loadTimeout, .deadline: "The request took too long."
        case .overloaded, .storeUnavailable: "The service is not available at the moment."
        case .recursiveLoad: "Something went wrong."
        }
    }

    /// A Boolean value that is `true` if the load did not begin.
    public var isRejection: Bool {
        switch reason {
        case .overloaded, .recursiveLoad, .storeUnavailable: true
        case .loadTimeout, .deadline: false
        }
    }
    /// The code for logs.
    public var description: String { "\(code)" }
}
