/// The header fields of a request by their names in lower case.
struct ReceivedHeaders {
    private let fields: [(name: [UInt8], value: [UInt8])]

    init(_ fields: [(name: String, value: String)]) {
        self.fields = fields.map { (Self.lowercased($0.name), Array($0.value.utf8)) }
    }

    /// Returns the values of all fields with a name.
    func values(_ name: String) -> [[UInt8]] {
        let name = Self.lowercased(name)
        return fields.filter { $0.name == name }.map(\.value)
    }

    /// Returns the value of a field that must appear exactly once.
    func only(_ name: String) throws(WebhookError) -> [UInt8] {
        let values = values(name)
        if values.count > 1 { throw WebhookError(.repeatedHeader(name)) }
        guard let value = values.first, !value.isEmpty else { throw WebhookError(.missingHeader(name)) }
        return value
    }

    private static func lowercased(_ name: String) -> [UInt8] {
        name.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }
}
