/// The fingerprints of the keys that left a cache lately, in the order in which they left.
///
/// The owner sets a limit. Memory is proportional to the limit.
struct GhostList: Sendable {
    /// A ring of fingerprints, where `nil` is the place of a removed fingerprint.
    private var ring: [UInt32?] = []
    /// The places in use, counted from the first fingerprint ever.
    private var used = 0..<0
    private var places: [UInt32: Int] = [:]

    var count: Int { places.count }

    /// Adds a fingerprint as the latest and drops the oldest fingerprints above a limit.
    mutating func append(_ fingerprint: UInt32, limit: Int) {
        remove(fingerprint)
        if used.count == ring.count { grow() }
        ring[index(used.upperBound)] = fingerprint
        places[fingerprint] = used.upperBound
        used = used.lowerBound..<used.upperBound + 1
        while places.count > limit || used.count > 2 * max(limit, 1) {
            if let oldest = ring[index(used.lowerBound)].take() { places[oldest] = nil }
            used = used.lowerBound + 1..<used.upperBound
        }
    }

    /// Removes a fingerprint.
    ///
    /// - Returns: `true` if the list contained the fingerprint.
    @discardableResult
    mutating func remove(_ fingerprint: UInt32) -> Bool {
        guard let place = places.removeValue(forKey: fingerprint) else { return false }
        ring[index(place)] = nil
        return true
    }

    // The size of the ring is a power of two.
    private func index(_ place: Int) -> Int { place & (ring.count - 1) }

    private mutating func grow() {
        var larger = [UInt32?](repeating: nil, count: max(16, 2 * ring.count))
        for place in used { larger[place & (larger.count - 1)] = ring[index(place)] }
        ring = larger
    }
}
