#if LibPQ
internal import CLibPQ
internal import ReliabilityStore

/// The parameters of a connection, which contain the password.
struct ConnectionParameters: Sendable {
    private(set) var keywords: [String] = []
    private(set) var values: [String] = []
    /// The hosts and ports or the sockets, and the database.
    let address: String

    /// The number of hosts.
    var hostCount: Int {
        zip(keywords, values).map { Self.hostKeywords.contains($0) ? Self.parts($1).count : 1 }.max() ?? 1
    }

    init(
        _ address: String,
        serverLimits: LibPQTransport.Configuration.ServerLimits?
    ) throws(StoreError) {
        // The message of libpq may quote the address.
        let invalid = StoreError(
            .invalid,
            "the address of the PostgreSQL server is invalid; write postgres://user:password@host:port/database "
                + "or keywords such as host=name port=5432 dbname=name"
        )
        guard !address.utf8.contains(0), let options = unsafe PQconninfoParse(address, nil) else { throw invalid }
        defer { unsafe PQconninfoFree(options) }
        var given: [String: String] = [:]
        var index = 0
        while let keyword = unsafe options[index].keyword {
            if let value = unsafe options[index].val {
                given[unsafe String(cString: keyword)] = unsafe String(cString: value)
            }
            index += 1
        }
        self.address = try ServerAddress(given).description
        if let limits = serverLimits {
            given["options"] = [given["options"], limits.options].compactMap { $0 }.joined(separator: " ")
        }
        given["client_encoding"] = "UTF8"
        given["target_session_attrs"] = given["target_session_attrs"] ?? "read-write"
        given["fallback_application_name"] = "swift-reliability"
        for (keyword, value) in given.sorted(by: { $0.key < $1.key }) {
            keywords.append(keyword)
            values.append(value)
        }
    }

    private static let hostKeywords = ["host", "hostaddr", "port"]

    private static func parts(_ list: String) -> [Substring] {
        list.split(separator: ",", omittingEmptySubsequences: false)
    }

    /// Returns the values with another order of the hosts, which begins with the host of an index.
    func values(firstHost: Int) -> [String] {
        zip(keywords, values).map { keyword, value in
            let parts = Self.parts(value)
            guard Self.hostKeywords.contains(keyword), parts.indices.contains(firstHost) else { return value }
            return (parts[firstHost...] + parts[..<firstHost]).joined(separator: ",")
        }
    }
}
#endif
