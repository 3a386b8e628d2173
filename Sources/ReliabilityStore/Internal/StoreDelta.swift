/// The numbers of entries or records and of counted bytes that a change adds, negative if the change removes more.
struct StoreDelta: Hashable, Sendable {
    var items = 0
    var bytes = 0

    static func + (left: Self, right: Self) -> Self {
        Self(items: left.items + right.items, bytes: left.bytes + right.bytes)
    }

    static func - (left: Self, right: Self) -> Self {
        Self(items: left.items - right.items, bytes: left.bytes - right.bytes)
    }

    static func += (left: inout Self, right: Self) { left = left + right }
}
