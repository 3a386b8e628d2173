/// An error of a test, without a category.
package struct TestError: Error, Hashable, Sendable {
    /// The number that tells errors apart.
    package var number: Int

    /// Creates an error.
    package init(_ number: Int = 0) { self.number = number }
}
