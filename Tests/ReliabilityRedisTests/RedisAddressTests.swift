import ReliabilityStore
import Testing

@testable import ReliabilityRedis

@Suite("RedisAddress")
struct RedisAddressTests {
    @Test("a URL has a host, a port and a database")
    func tcp() throws {
        let address = try RedisAddress("redis://127.0.0.1:6380/3")
        #expect(address.endpoint == .tcp(host: "127.0.0.1", port: 6380))
        #expect(address.database == 3)
        #expect(address.user == nil && address.password == nil)
        #expect(address.description == "127.0.0.1:6380/3")
    }

    @Test("the port and the database have defaults")
    func defaults() throws {
        for url in ["redis://cache.example", "redis://cache.example/", "redis://cache.example:6379/0"] {
            let address = try RedisAddress(url)
            #expect(address.endpoint == .tcp(host: "cache.example", port: 6379))
            #expect(address.database == 0)
        }
    }

    @Test("an IPv6 address stands in brackets")
    func ipv6() throws {
        #expect(try RedisAddress("redis://[::1]").endpoint == .tcp(host: "::1", port: 6379))
        #expect(try RedisAddress("redis://[fe80::1]:7000/1").endpoint == .tcp(host: "fe80::1", port: 7000))
        #expect(try RedisAddress("redis://[::1]").description == "[::1]:6379/0")
    }

    @Test("credentials are decoded, and no description contains credentials")
    func credentials() throws {
        let address = try RedisAddress("redis://us%40er:p%3Aa%2Fss@h/0")
        #expect(address.user == "us@er")
        #expect(address.password == "p:a/ss")
        let old = try RedisAddress("redis://:pa@ss@h")
        #expect(old.user == nil)
        #expect(old.password == "pa@ss")
        var dumped = ""
        dump(address, to: &dumped)
        for text in ["\(address)", String(reflecting: address), dumped] { #expect(!text.contains("a/ss"), "\(text)") }
    }

    @Test("a URL of a Unix socket has a path and a database")
    func unix() throws {
        let address = try RedisAddress("unix:///run/redis%20a/s.sock?db=2")
        #expect(address.endpoint == .unix(path: "/run/redis a/s.sock"))
        #expect(address.database == 2)
        #expect(try RedisAddress("unix://:word@/run/s").password == "word")
    }

    @Test(
        "a wrong URL is rejected without its credentials",
        arguments: [
            "", "redis", "redis://", "http://:secret@h", "rediss://:secret@h", "redis://:secret@",
            "redis://:secret@h:0",
            "redis://:secret@h:65536", "redis://:secret@h:x", "redis://:secret@h/x", "redis://:secret@h/-1",
            "redis://:secret%2@h", "redis://:secret%zz@h", "unix://:secret@relative", "unix:///s?database=1",
            "unix:///s?db=", "redis://:secret@[::1", "redis://:secret@h:6379:1", "redis://:secret@h/0?x=1",
            "redis://:secret@h\u{0}", "unix:///a%00b", "redis://:secret@[::1]x",
        ]
    )
    func invalid(url: String) throws {
        let error = try #require(throws: StoreError.self) { try RedisAddress(url) }
        #expect(error.reason == .invalid)
        #expect(!"\(error)".contains("secret"))
    }
}
