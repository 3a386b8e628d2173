#if LibPQ
internal import CLibPQ
internal import ReliabilityStore

/// The hosts and the database of a connection, for errors.
///
/// A URL whose password has an unescaped delimiter has parts of the password in its host, port or database. The address
/// therefore contains only texts of common characters.
struct ServerAddress: CustomStringConvertible {
    let description: String

    /// Creates the address of parameters.
    ///
    /// - Parameter given: The parameters by their keywords. The others have the defaults of the environment.
    /// - Throws: `StoreError` with the reason `invalid` for a port that is no number.
    init(_ given: [String: String]) throws(StoreError) {
        func value(_ keyword: String) -> String { given[keyword] ?? Self.environment(keyword) }
        let hosts = Self.parts(given["hostaddr"] ?? value("host"))
        let ports = Self.parts(value("port"))
        for port in ports where !port.isEmpty {
            guard let number = UInt16(port), number > 0 else {
                throw StoreError(
                    .invalid,
                    "the port of the PostgreSQL server must be a number from 1 to 65535; "
                        + "encode the characters @ : / of a password in a URL"
                )
            }
        }
        let places = hosts.enumerated().map { index, host in
            let port = ports.count == 1 ? ports[0] : index < ports.count ? ports[index] : ""
            return Self.place(host, port.isEmpty ? "5432" : port)
        }
        let database = Self.shown(value("dbname"), Self.isOfName).map { $0.isEmpty ? "" : " database \($0)" }
        description = places.joined(separator: ", ") + (database ?? "")
    }

    private static func place(_ host: String, _ port: String) -> String {
        guard let host = shown(host, isOfHost) else { return "a host with unusual characters" }
        if host.isEmpty { return "the default socket, port \(port)" }
        if host.hasPrefix("/") { return "\(host)/.s.PGSQL.\(port)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private static func parts(_ list: String) -> [String] {
        list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    private static func shown(_ text: String, _ isAllowed: (Character) -> Bool) -> String? {
        text.allSatisfy(isAllowed) ? text : nil
    }

    private static func isOfName(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber) || "_-.".contains(character)
    }

    private static func isOfHost(_ character: Character) -> Bool { isOfName(character) || "/:".contains(character) }

    /// The value of the environment for a keyword, such as that of `PGHOST`, or an empty text.
    private static func environment(_ keyword: String) -> String {
        guard let options = unsafe PQconndefaults() else { return "" }
        defer { unsafe PQconninfoFree(options) }
        var index = 0
        while let name = unsafe options[index].keyword {
            if unsafe String(cString: name) == keyword {
                return unsafe options[index].val.map { unsafe String(cString: $0) } ?? ""
            }
            index += 1
        }
        return ""
    }
}
#endif
