// The names that the examples of the documentation leave to their readers.
import Foundation
import Reliability
import ReliabilityTesting

// Values
struct Page: Sendable { static let empty = Page() }
struct Payment: Sendable { let email: String, cents: Int }
struct Receipt: Sendable {}
struct Balance: Sendable { init(_ cents: Int) {} }
struct Response: Sendable { let status = 200 }
struct Item: Sendable { init(_ json: JSONReader) throws {} }
struct Order: Sendable {
    let id = "1", bytes: [UInt8] = []
    init() {}
    init(_ json: JSONReader) throws {}
}
struct CardError: Error {}
struct CardDeclined: ReliabilityError {
    let code: ErrorCode = "card.declined", category = ErrorCategory.unprocessable, message = "The card was declined."
}

let order = Order(), body: [UInt8] = [], error: any Error = CancellationError()
let item = "item-1", id = "1", url = "https://example.com", account = "account-1", emailAddress = "a@example.com"
let customerID = "customer-1", idempotencyKey = "key-1"
let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
let headers: [(name: String, value: String)] = [], signature = "t=1,v1=", unixSeconds: Int64 = 1_700_000_000
let environment = ProcessInfo.processInfo.environment, path = "/var/lib/shop/store"
let parts = AsyncThrowingStream<[UInt8], any Error> { $0.finish() }
let lines = AsyncThrowingStream<String, any Error> { $0.finish() }

// Dependencies
struct Service: Sendable {
    func connect() async throws {}
    func charge(_ order: Order, key: String = "") async throws -> Receipt { Receipt() }
    func quote(_ item: String) async throws -> Int { 0 }
    func page(_ id: String) async throws -> Page { .empty }
    func rates() async throws -> [Int] { [] }
    func balance(of account: String) async throws -> Balance { Balance(0) }
    func query(_ text: String) async throws -> [String] { [] }
    func get(_ url: String) async throws -> Response { Response() }
    func send(_ payload: [UInt8], id: String) async throws {}
    func upload(_ part: [UInt8]) async throws {}
}
struct Connection: Sendable { func close() async {} }
struct Pool: Sendable {
    static func start() -> Pool { Pool() }
    func connect() async throws -> Connection { Connection() }
}
struct Billing: Sendable { func apply(_ event: WebhookEvent) async throws {} }
struct Client: Sendable { func post(_ request: WebhookRequest) async throws -> WebhookResponse { .init(status: 200) } }
struct Directory: Sendable { func endpoint(_ id: String) async throws -> WebhookEndpoint? { nil } }
typealias MyStore = InMemoryStore

let gateway = Service(), shop = Service(), cache = Service(), bank = Service(), backup = Service(), driver = Service()
let client = Service(), shipping = Service(), replicas = [Service(), Service(), Service()], pool = Pool()

let billing = Billing(), http = Client(), directory = Directory()

// Policies and stores
let store: any RecordStore = InMemoryStore()
let dedup = Deduplicator(
    .replay(retention: .seconds(86_400)),
    keyspace: "charges",
    store: store,
    storeFailure: .failClosed()
)
let outbox = OutboxQueue("orders", store: store, storeFailure: .failClosed())
let relay = OutboxRelay(queue: outbox) { _ in }
let coding = CacheCoding<String, Int>(
    schema: 1,
    key: { [$0] },
    encode: { Array(try JSONEncoder().encode($0)) },
    decode: { try JSONDecoder().decode(Int.self, from: Data($0)) }
)
let shared = TieredCache<String, Int>(
    .expiring(after: .seconds(300)),
    coding: coding,
    keyspace: "quotes",
    store: store,
    storeFailure: .failOpen()
) { item in try await gateway.quote(item) }
let sender = WebhookSender(outbox: outbox, endpoints: directory.endpoint, transport: http.post)

// The service of “Test a whole service” in ReliabilityTesting.md
struct OrderService: Sendable {
    let outbox: OutboxQueue
    init(store: any RecordStore, bank: ScriptedDependency, clock: any Clock<Duration> = ContinuousClock()) {
        outbox = OutboxQueue("orders", store: store, storeFailure: .failClosed(), clock: clock)
    }
    func place(_ id: String, by customer: String, _ order: [UInt8]) async throws -> [UInt8] { order }
}

// Functions
struct Logger: Sendable {
    func debug(_ message: String) {}
    func warning(_ message: String) {}
    func error(_ message: String) {}
}
let logger = Logger()
func log(_ line: String) {}
func fetch(_ url: String) async throws -> Page { .empty }
func charge(_ order: Order, key: String = "") async throws -> String { "" }
func ship(_ payload: [UInt8], id: String) async throws {}
func send(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {}
