/// What the command line asks for.
struct Options {
    /// A file, `-` for standard input, or nil to generate orders.
    var input: String?
    var count = 1000
    var seed: UInt64 = 1
    var faults = 0.2
    var data: String?
    var rate = 20
    var concurrency = 32
    /// True for a storm in place of orders, with its length in seconds.
    var isStorm = false
    var seconds = 60
    /// The server of the store, or nil for a store in the data directory.
    var server: Server?
    /// The name of the store on its server.
    var name = "orders"

    enum Server: Equatable {
        case redis(url: String), postgres(url: String)
    }

    static let usage = """
        usage: orders [--input FILE|-] [--count N] [--seed N] [--faults 0…1] [--data DIR] [--rate N] [--concurrency N]
                      [--redis URL | --postgres URL] [--name NAME]
               orders --storm [--seconds N] [--seed N]

          --input FILE     newline-delimited JSON orders; - reads standard input; without it orders are generated
          --count N        how many orders to generate (1000)
          --seed N         what the generated orders and the faults are drawn from (1)
          --faults P       the share of calls to the gateway and the shipping sink that go wrong (0.2)
          --data DIR       where the store and the ledgers live; a fresh temporary directory without it
          --redis URL      a store on a Redis server instead, for several desks with one --data DIR
          --postgres URL   a store on a PostgreSQL server instead; needs swift run --traits LibPQ
          --name NAME      the name of the store on its server, for PostgreSQL the schema (orders)
          --rate N         orders per minute and customer (20)
          --concurrency N  orders in flight at once (32)
          --storm          instead: ten times the requests that a gateway bears, with and without guards
          --seconds N      the length of the storm (60)
        """

    /// Why a command line was not understood: one clear line.
    struct UsageError: Error {
        let line: String
    }

    init(_ arguments: [String]) throws {
        var arguments = arguments[...]
        while let name = arguments.popFirst() {
            if name == "--storm" {
                isStorm = true
                continue
            }
            let known = [
                "--input", "--count", "--seed", "--faults", "--data", "--rate", "--concurrency",
                "--redis", "--postgres", "--name", "--seconds",
            ]
            guard known.contains(name) else {
                throw UsageError(line: "orders: unknown argument \(name); try --help")
            }
            guard let value = arguments.popFirst(), !value.isEmpty else {
                throw UsageError(line: "orders: \(name) needs a value")
            }
            switch name {
            case "--input": input = value
            case "--data": data = value
            case "--redis": try choose(.redis(url: value))
            case "--postgres": try choose(.postgres(url: value))
            case "--name": self.name = try Self.storeName(value)
            case "--count": count = try Self.number(name, value, 0...10_000_000)
            case "--seed": seed = UInt64(try Self.number(name, value, 0...Int.max))
            case "--seconds": seconds = try Self.number(name, value, 1...3600)
            case "--rate": rate = try Self.number(name, value, 1...1_000_000)
            case "--concurrency": concurrency = try Self.number(name, value, 1...10_000)
            default:
                guard let share = Double(value), (0...1).contains(share) else {
                    throw UsageError(line: "orders: --faults takes a number from 0 to 1, not \(value)")
                }
                faults = share
            }
        }
    }

    private mutating func choose(_ server: Server) throws {
        if self.server != nil { throw UsageError(line: "orders: --redis and --postgres exclude each other") }
        self.server = server
    }

    /// What both servers take for a name.
    private static func storeName(_ value: String) throws -> String {
        let isPlain = value.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x5F || ($0 >= 0x30 && $0 <= 0x39) }
        guard isPlain, value.utf8.count <= 63, value.first?.isNumber == false else {
            throw UsageError(
                line: "orders: --name takes up to 63 of a-z, 0-9 and _, with no digit in front, not \(value)"
            )
        }
        return value
    }

    private static func number(_ name: String, _ value: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw UsageError(
                line: "orders: \(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \(value)"
            )
        }
        return number
    }
}
