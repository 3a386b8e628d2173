/// An entry in a store.
package struct StoredEntry: Hashable, Sendable {
    package var value: [UInt8]
    package var version: UInt64
    /// The expiry in Unix milliseconds of the store's clock, or `nil` if the entry does not expire.
    package var expiresAt: Int64?

    package init(value: [UInt8], version: UInt64, expiresAt: Int64?) {
        self.value = value
        self.version = version
        self.expiresAt = expiresAt
    }

    func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now / 1_000_000 } ?? false }
}
