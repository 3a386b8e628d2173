/// Versions of a plan that become versions of the store once their number is known.
///
/// A plan counts from a number above all versions of a store. The store then issues exactly the versions that the plan
/// used, so the versions of a store have no gaps.
struct PlannedVersions {
    private static let first: UInt64 = 1 << 63

    /// The next planned version.
    var next = first
    private var base: UInt64 = 0

    /// Takes the versions of the plan from the store.
    mutating func issue(from capacity: MemoryCapacity) {
        base = next == Self.first ? 0 : capacity.takeVersions(Int(next - Self.first))
    }

    /// Returns the version of the store for a version in the plan.
    func issued(_ version: UInt64) -> UInt64 { version < Self.first ? version : base + (version - Self.first) }
}
