/// What was said on the command line: `--name value` pairs.
struct Options: Sendable {
    private var values: [String: Int] = [:]

    /// Reads pairs; nil when they are none.
    init?(_ arguments: some Sequence<String>) {
        var name: String?
        for argument in arguments {
            if let given = name {
                guard let value = Int(argument) else { return nil }
                values[given] = value
                name = nil
            } else {
                guard argument.hasPrefix("--") else { return nil }
                name = String(argument.dropFirst(2))
            }
        }
        if name != nil { return nil }
    }

    subscript(name: String) -> Int? { values[name] }
}
