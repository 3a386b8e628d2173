/// A counter that must not leave the isolation of its test.
package final class NonSendableCounter {
    /// The count.
    package var count = 0

    /// Creates a counter at zero.
    package init() {}
}
