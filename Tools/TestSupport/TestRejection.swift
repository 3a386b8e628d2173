package import ReliabilityCore

/// An error of a test that rejects a call, as a policy does.
package struct TestRejection: ReliabilityError, Hashable {
    package var code: ErrorCode { "test.rejection" }
    package var category: ErrorCategory
    package var message: String { "The test rejected the call." }
    package var retryAfter: Duration?
    package var isRejection: Bool { true }

    /// Creates a rejection.
    package init(_ category: ErrorCategory = .unavailable, retryAfter: Duration? = nil) {
        self.category = category
        self.retryAfter = retryAfter
    }
}
