/// What was said on the command line: `--name number`, or `--name` alone for 1.
package struct Options: Sendable {
    private var values: [String: Int] = [:]

    /// Reads options; nil when they are none, or one is not among `known`.
    package init?(_ arguments: some Sequence<String>, known: [String]) {
        var name: String?
        for argument in arguments {
            if argument.hasPrefix("--") {
                if let name { values[name] = 1 }
                name = String(argument.dropFirst(2))
            } else {
                guard let given = name, let value = Int(argument) else { return nil }
                values[given] = value
                name = nil
            }
        }
        if let name { values[name] = 1 }
        if !values.keys.allSatisfy(known.contains) { return nil }
    }

    package subscript(name: String) -> Int? { values[name] }
}
