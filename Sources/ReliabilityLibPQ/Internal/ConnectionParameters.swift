#if LibPQ
internal import CLibPQ
internal import ReliabilityStore

/// The parameters of a connection, which contain the password.
struct ConnectionParameters: Sendable {
    private(set) var keywords: [String] = []
    private(set) var values: [String] = []
    /// The hosts and ports or the sockets, and the database.
    let address: String

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
}
#endif
