internal import ReliabilityCore
internal import ReliabilityStore

/// The facts about a server that decide whether the server keeps the promises of a store.
struct RedisServerFacts: Hashable, Sendable {
    var durability: StoreCapabilities.Durability
    var hasReplicas: Bool
    /// The time at which the present content of the store began.
    var origin: [UInt8]
}

/// Checks a server at every connection and regularly afterwards.
struct RedisServerCheck: Sendable {
    let names: RedisNames
    let limit: Duration
    /// The durability that the user states, or `nil` to read the durability.
    let stated: StoreCapabilities.Durability?

    /// Reads the facts about a server.
    ///
    /// - Throws: `unavailable` if the server cannot serve the store now, or `failed` if the server must be configured
    ///   differently.
    func facts(_ transport: any RedisTransport) async throws(StoreError) -> RedisServerFacts {
        let info = try await information([Array("INFO")], transport)
        // While a server loads its append-only file, the server reports the file as disabled.
        if info["loading"] == "1" { throw StoreError(.unavailable, "the server loads its data") }
        try checkVersion(info)
        try checkRole(info)
        try checkEviction(info)
        return RedisServerFacts(
            durability: try await durability(info, transport),
            hasReplicas: (info["connected_slaves"] ?? "0") != "0",
            origin: try await origin(transport)
        )
    }

    /// Reads the facts that can change at any time.
    ///
    /// - Parameters:
    ///   - facts: The facts of an earlier check.
    ///   - transport: The client.
    /// - Returns: The facts, of which the durability is that of the earlier check.
    /// - Throws: `unavailable` if the server is no primary any more.
    func update(_ facts: RedisServerFacts, _ transport: any RedisTransport) async throws(StoreError) -> RedisServerFacts
    {
        let info = try await information([Array("INFO"), Array("replication")], transport)
        try checkRole(info)
        var facts = facts
        facts.origin = try await origin(transport)
        return facts
    }

    private func information(
        _ command: [[UInt8]],
        _ transport: any RedisTransport
    ) async throws(StoreError) -> RedisInformation {
        guard case .bytes(let bytes) = try await send(command, to: transport) else { throw .malformedReply }
        return RedisInformation(bytes)
    }

    private func checkRole(_ info: RedisInformation) throws(StoreError) {
        if info["role"] != "master" {
            throw StoreError(.unavailable, "the server is a replica; connect to the primary")
        }
    }

    private func checkVersion(_ info: RedisInformation) throws(StoreError) {
        let text = info["valkey_version"] ?? info["redis_version"] ?? ""
        let major = Int(text.prefix { $0 != "." }) ?? 0
        if major < 7 { throw StoreError(.failed, "the server must be Redis 7 or Valkey 8 or later (is \(major))") }
    }

    private func checkEviction(_ info: RedisInformation) throws(StoreError) {
        let policy = info["maxmemory_policy"] ?? "noeviction"
        if info["maxmemory"] ?? "0" == "0" || policy == "noeviction" { return }
        throw StoreError(
            .failed,
            "the server evicts entries (maxmemory-policy is \(policy)); set maxmemory-policy to noeviction"
        )
    }

    private func durability(
        _ info: RedisInformation,
        _ transport: any RedisTransport
    ) async throws(StoreError) -> StoreCapabilities.Durability {
        if info["aof_enabled"] != "1" { return .none }
        let reply = try await reply([Array("CONFIG"), Array("GET"), Array("appendfsync")], from: transport)
        guard case .array(let parts) = reply, case .bytes(let value)? = parts.last else {
            // The server denies its settings, as many services do.
            return stated ?? .none
        }
        switch String(decoding: value, as: UTF8.self) {
        case "always": return .powerLoss
        // The server writes to the file before each reply, and leaves the sync to the system.
        case "no": return .processCrash
        // While a sync of the second before is under way, the server replies up to two seconds before the write.
        default: return .none
        }
    }

    /// Reads the time at which the content of the store began, and begins the content of an empty store.
    private func origin(_ transport: any RedisTransport) async throws(StoreError) -> [UInt8] {
        let get = [Array("GET"), names.origin]
        if case .bytes(let origin) = try await send(get, keys: 1..<2, to: transport) { return origin }
        guard case .array(let time) = try await send([Array("TIME")], to: transport), time.count == 2,
            case .bytes(let seconds) = time[0], case .bytes(let microseconds) = time[1]
        else { throw .malformedReply }
        let now = seconds + Array(".") + microseconds
        _ = try await send([Array("SET"), names.origin, now, Array("NX")], keys: 1..<2, to: transport)
        guard case .bytes(let origin) = try await send(get, keys: 1..<2, to: transport) else { throw .malformedReply }
        return origin
    }

    /// Loads the scripts and uses each command of the scripts once, so that a missing right is found before a script
    /// that has made half of its writes.
    func checkRights(_ transport: any RedisTransport) async throws(StoreError) {
        for script in RedisScript.all {
            _ = try await send([Array("SCRIPT"), Array("LOAD"), script.source], to: transport)
        }
        let probe = RedisScript.probe
        let call = [Array("EVAL"), probe.source, Array("1"), names.probe]
        do throws(StoreError) { _ = try await send(call, keys: 3..<4, to: transport) } catch {
            // A full server rejects the probe and has still the right settings.
            if error.reason != .diskFull, error.reason != .capacityExceeded { throw error }
        }
    }

    private func send(
        _ command: [[UInt8]],
        keys: Range<Int> = 0..<0,
        to transport: any RedisTransport
    ) async throws(StoreError) -> RedisReply {
        let reply = try await reply(command, keys: keys, from: transport)
        if case .error(let text) = reply { throw StoreError(serverError: text) }
        return reply
    }

    private func reply(
        _ command: [[UInt8]],
        keys: Range<Int> = 0..<0,
        from transport: any RedisTransport
    ) async throws(StoreError) -> RedisReply {
        do throws(ConnectionFailure) {
            return try await transport.send(command, keys: keys, limit: limit)
        } catch {
            throw StoreError(.unavailable, error.explanation, underlyingError: error)
        }
    }
}

/// The fields of the server's description of itself.
struct RedisInformation {
    private var fields: [String: String] = [:]

    init(_ bytes: [UInt8]) {
        for line in bytes.split(whereSeparator: { $0 == 13 || $0 == 10 }) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            fields[String(decoding: line[..<colon], as: UTF8.self)] =
                String(decoding: line[(colon + 1)...], as: UTF8.self)
        }
    }

    subscript(name: String) -> String? { fields[name] }
}
