import ReliabilityStore
import Testing

@testable import ReliabilityPostgres

@Suite("Encodings of PostgreSQL")
struct PostgresEncodingTests {
    @Test("numbers are big-endian, and arrays have a header and lengths")
    func encodings() {
        #expect(PostgresValue.int8(-2).bytes == [255, 255, 255, 255, 255, 255, 255, 254])
        #expect(PostgresValue.int2(258).bytes == [1, 2])
        #expect(PostgresValue.bytesArray([]).bytes == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17])
        #expect(
            PostgresValue.bytesArray([[7], []]).bytes == [
                0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 0, 0, 0, 0,
            ]
        )
        #expect([UInt8](bigEndian: Int64.min).integer(Int64.self) == .min)
        #expect([1, 2, 3].integer(Int64.self) == nil)
    }

    @Test("times are rounded up to microseconds, and an extreme time does not overflow")
    func times() {
        #expect(Duration.nanoseconds(1).microsecondsUp == 1)
        #expect(Duration.microseconds(400).microsecondsUp == 400)
        #expect(Duration.seconds(-5).microsecondsUp == 0)
        #expect(Duration.seconds(Int64.max).microsecondsUp == (1 << 53) - 1)
        let short = StoreWrite.put(StoreKey("a"), [], .after(.nanoseconds(1)), if: .any).arguments
        #expect(short.life == 1000)
    }

    @Test("the end of a prefix is the first key without the prefix")
    func prefixes() {
        #expect([1, 2].endOfPrefix == [1, 3])
        #expect([1, 255, 255].endOfPrefix == [2])
        #expect([255].endOfPrefix == nil)
    }

    @Test("the numbers of locks are those of FNV-1a, in ascending order without repetitions")
    func locks() {
        #expect(KeyLocks.number([]) == Int32(bitPattern: 0x811C_9DC5))
        #expect(KeyLocks.number(Array("foobar".utf8)) == Int32(bitPattern: 0xBF9C_F968))
        let keys = (0..<100).map { [UInt8($0)] }
        let numbers = KeyLocks.numbers(keys + keys)
        #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
    }

    @Test(
        "claims begin at the last full batch, and from the first record each second and after a batch that is not full"
    )
    func floors() {
        var floors = ClaimFloors()
        #expect(floors.begin("q", now: 0) == 0)
        floors.end("q", lastDue: 1_000_000, now: 0)
        #expect(floors.begin("q", now: 1) == 950_000)
        #expect(floors.begin("other", now: 1) == 0)
        #expect(floors.begin("q", now: 1_000_000_000) == 0)
        #expect(floors.begin("q", now: 1_000_000_001) == 950_000)
        floors.end("q", lastDue: nil, now: 2)
        #expect(floors.begin("q", now: 3) == 0)
        floors.end("q", lastDue: 10, now: 3)
        #expect(floors.begin("q", now: 4) == 0)
    }

    @Test("the name of a schema is a plain identifier")
    func schemaNames() throws {
        for name in ["", "A", "1a", "a-b", "a\"b", "a b", "é", "a.b", String(repeating: "a", count: 64)] {
            #expect(throws: StoreError.self) { try PostgresSchema.sql(schema: name) }
        }
        for name in ["reliability", "_", "select", "a1_", String(repeating: "a", count: 63)] {
            #expect(try PostgresSchema.sql(schema: name).contains("\"\(name)\".entry"))
        }
        #expect(try PostgresSchema.rollbackSQL(version: 1).contains("DROP SCHEMA \"reliability\" CASCADE"))
        #expect(try PostgresSchema.rollbackSQL(version: 99) == "")
    }

    @Test("the durability follows from the settings of the server")
    func durability() {
        func durability(_ fsync: String, _ pages: String, _ commit: String) -> StoreCapabilities.Durability {
            ServerFacts.durability(fsync: fsync, fullPageWrites: pages, synchronousCommit: commit)
        }
        #expect(durability("on", "on", "on") == .powerLoss)
        #expect(durability("on", "on", "local") == .powerLoss)
        #expect(durability("off", "on", "on") == .processCrash)
        #expect(durability("on", "off", "on") == .processCrash)
        #expect(durability("on", "on", "off") == .none)
    }
}
