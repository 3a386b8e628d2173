/// The capacity of a store.
package struct StoreLimits: Hashable, Sendable {
    package var maxEntries: Int
    package var maxBytes: Int

    package init(maxEntries: Int, maxBytes: Int) {
        self.maxEntries = maxEntries
        self.maxBytes = maxBytes
    }
}
