import Testing

@testable import orders

@Suite("options of orders")
struct OptionsTests {
    @Test("without a server the store is in the data directory, and the name has a default")
    func defaults() throws {
        let options = try Options([])
        #expect(options.server == nil)
        #expect(options.name == "orders")
    }

    @Test("--redis, --postgres and --name choose the store")
    func servers() throws {
        let redis = try Options(["--redis", "redis://127.0.0.1:6379/0", "--count", "5"])
        #expect(redis.server == .redis(url: "redis://127.0.0.1:6379/0"))
        #expect(redis.count == 5)
        let postgres = try Options(["--name", "shop_2", "--postgres", "postgres://shop@db/shop"])
        #expect(postgres.server == .postgres(url: "postgres://shop@db/shop"))
        #expect(postgres.name == "shop_2")
    }

    @Test("--storm takes the place of orders and has a length")
    func storm() throws {
        #expect(try !Options([]).isStorm)
        let options = try Options(["--storm", "--seconds", "5", "--seed", "3"])
        #expect(options.isStorm)
        #expect(options.seconds == 5)
        #expect(options.seed == 3)
        #expect(try Options(["--storm"]).seconds == 60)
        #expect(throws: Options.UsageError.self) { try Options(["--storm", "--seconds", "0"]) }
    }

    @Test(
        "a second server, a missing value and a name that a server rejects are usage errors",
        arguments: [
            ["--redis", "redis://a", "--postgres", "postgres://b"], ["--redis", "redis://a", "--redis", "redis://b"],
            ["--redis"], ["--postgres", ""], ["--name"], ["--name", "2shop"], ["--name", "Shop"], ["--name", "a{b}"],
            ["--name", "a;b"], ["--name", String(repeating: "a", count: 64)],
        ]
    )
    func usage(arguments: [String]) {
        #expect(throws: Options.UsageError.self) { try Options(arguments) }
    }
}
