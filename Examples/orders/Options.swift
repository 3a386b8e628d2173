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

    static let usage = """
        usage: orders [--input FILE|-] [--count N] [--seed N] [--faults 0…1] [--data DIR] [--rate N] [--concurrency N]

          --input FILE     newline-delimited JSON orders; - reads standard input; without it orders are generated
          --count N        how many orders to generate (1000)
          --seed N         what the generated orders and the faults are drawn from (1)
          --faults P       the share of calls to the gateway and the shipping sink that go wrong (0.2)
          --data DIR       where the store and the ledgers live; a fresh temporary directory without it
          --rate N         orders per minute and customer (20)
          --concurrency N  orders in flight at once (32)
        """

    /// Why a command line was not understood: one clear line.
    struct UsageError: Error {
        let line: String
    }

    init(_ arguments: [String]) throws {
        var arguments = arguments[...]
        while let name = arguments.popFirst() {
            guard ["--input", "--count", "--seed", "--faults", "--data", "--rate", "--concurrency"].contains(name)
            else {
                throw UsageError(line: "orders: unknown argument \(name); try --help")
            }
            guard let value = arguments.popFirst(), !value.isEmpty else {
                throw UsageError(line: "orders: \(name) needs a value")
            }
            switch name {
            case "--input": input = value
            case "--data": data = value
            case "--count": count = try Self.number(name, value, 0...10_000_000)
            case "--seed": seed = UInt64(try Self.number(name, value, 0...Int.max))
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

    private static func number(_ name: String, _ value: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(value), range.contains(number) else {
            throw UsageError(
                line: "orders: \(name) takes a number from \(range.lowerBound) to \(range.upperBound), not \(value)"
            )
        }
        return number
    }
}
