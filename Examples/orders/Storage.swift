import Reliability
import ReliabilityRedis

#if LibPQ
import ReliabilityLibPQ
import ReliabilityPostgres
#endif

/// The store of one desk or of several.
struct Storage {
    let store: any RecordStore
    let close: () async -> Void

    /// Why a store is not good enough: one clear line.
    struct Unsuitable: Error, CustomStringConvertible {
        let description: String
    }

    /// Opens the store that the command line asks for.
    static func open(_ options: Options, data: String) async throws -> Storage {
        switch options.server {
        case nil:
            let store = try await FileStore.open(at: data + "/store")
            return Storage(store: store) { await store.close() }
        case .redis(let url):
            var configuration = RedisStore.Configuration(name: options.name)
            configuration.keyspacesWithoutScan = [OrderDesk.claims, OrderDesk.rates]
            let store = try await RedisStore(configuration, address: RedisAddress(url))
            let storage = Storage(store: store) { store.close() }
            return try await storage.checked("appendonly yes and appendfsync always")
        case .postgres(let url):
            let storage = try await openPostgres(url, schema: options.name)
            return try await storage.checked("fsync on, full_page_writes on and synchronous_commit on")
        }
    }

    /// Makes sure that a server keeps what it has acknowledged.
    private func checked(_ settings: String) async throws -> Storage {
        if store.capabilities.durability >= OrderDesk.durability { return self }
        await close()
        throw Unsuitable(description: "the server would lose orders with its power; it needs \(settings)")
    }

    #if LibPQ
    private static func openPostgres(_ url: String, schema: String) async throws -> Storage {
        // A service would leave this to its deployment, with a role of its own.
        let client = try LibPQTransport(url)
        try await PostgresSchema.migrate(client, schema: schema)
        await client.close()
        let store = try await PostgresStore(.init(schema: schema)) { try LibPQTransport(url) }
        return Storage(store: store) { store.close() }
    }
    #else
    private static func openPostgres(_ url: String, schema: String) async throws -> Storage {
        throw Unsuitable(
            description: "--postgres needs a build with libpq: swift run --traits LibPQ orders --postgres postgres://…"
        )
    }
    #endif
}
