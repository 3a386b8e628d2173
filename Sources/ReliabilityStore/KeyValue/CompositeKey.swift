internal import ReliabilityCore

/// A key of several components, such as a tenant, a user and a request.
///
/// ```swift
/// let key: CompositeKey = [customerID, idempotencyKey]
/// let path = ["invoices", "2026"]
/// let pathKey = CompositeKey([customerID] + path)    // components from an array
/// ```
///
/// Name the owner first. Otherwise the keys of two customers collide. The boundaries of the components are a part of
/// the key: `["a", "bc"]` and `["ab", "c"]` are two keys. Keys are compared by their bytes and never by Unicode
/// equivalence. Lower-case an email address before you use the address as a component.
public struct CompositeKey: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    // Bytes: strings would compare by canonical equivalence.
    package let components: [[UInt8]]

    /// Creates a key from its components.
    ///
    /// - Parameter components: The components, the owner first.
    public init(_ components: [String]) {
        self.components = components.map { Array($0.utf8) }
    }

    /// Creates a key from its components.
    ///
    /// - Parameter components: The components, the owner first.
    public init(_ components: String...) { self.init(components) }

    /// Creates a key from a literal of its components.
    public init(arrayLiteral elements: String...) { self.init(elements) }

    /// The components as a JSON array on a single line for logs, such as `["ada","k1"]`.
    public var description: String {
        var text: [UInt8] = []
        for component in components {
            text.append(UInt8(ascii: text.isEmpty ? "[" : ","))
            appendJSON(String(decoding: component, as: UTF8.self), to: &text)
        }
        return text.isEmpty ? "[]" : String(decoding: text, as: UTF8.self) + "]"
    }

    /// A Boolean value that indicates whether the key has no component, or an empty component.
    package var isIncomplete: Bool { components.isEmpty || components.contains { $0.isEmpty } }
}
