/// A configuration that several breakers refer to.
final class SharedConfiguration: Hashable, Sendable {
    let value: Breaker.Configuration

    init(_ value: Breaker.Configuration) { self.value = value }

    static func == (one: SharedConfiguration, other: SharedConfiguration) -> Bool { one.value == other.value }

    func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
