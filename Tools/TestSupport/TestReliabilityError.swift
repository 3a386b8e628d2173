package import ReliabilityCore

/// An error of a test with a category.
package struct TestReliabilityError: ReliabilityError, Hashable {
    package var code: ErrorCode { "test.error" }
    package var category: ErrorCategory
    package var message: String { "The test failed the call." }
    package var retryAfter: Duration?

    /// Creates an error.
    package init(_ category: ErrorCategory = .unavailable, retryAfter: Duration? = nil) {
        self.category = category
        self.retryAfter = retryAfter
    }
}
