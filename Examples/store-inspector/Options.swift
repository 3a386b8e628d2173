/// A command line.
struct Options: Sendable {
    enum Command: String, CaseIterable, Sendable {
        case verify, stats, list, show, queues
        case deadLetters = "dead-letters"
        case redrive, compact, snapshot, salvage

        /// The smallest and the largest number of arguments after the directory.
        var argumentCounts: ClosedRange<Int> {
            switch self {
            case .verify, .stats, .list, .queues, .compact: 0...0
            case .show: 1...64
            case .deadLetters, .redrive, .snapshot, .salvage: 1...1
            }
        }

        /// The options besides `--json`.
        var options: Set<String> {
            switch self {
            case .verify, .stats, .queues, .compact, .snapshot, .salvage: []
            case .list: ["--keyspace", "--limit", "--values"]
            case .show: ["--values"]
            case .deadLetters: ["--limit", "--values"]
            case .redrive: ["--id", "--apply"]
            }
        }
    }

    /// The explanation of a command line that is not understood.
    struct UsageError: Error {
        let line: String
    }

    let command: Command
    let directory: String
    /// The arguments after the directory.
    private(set) var arguments: [String] = []
    private(set) var isJSON = false
    private(set) var showsValues = false
    private(set) var applies = false
    private(set) var limit = Int.max
    private(set) var keyspace: String?
    private(set) var ids: [String] = []

    static let usage = """
        usage: store-inspector COMMAND DIRECTORY [ARGUMENT…] [OPTION…]

        Commands that only read. They also work on a damaged store:
          verify DIRECTORY                 reads all files and reports every damage with its file and offset
          stats DIRECTORY                  files, entries, records, bytes, clock
          list DIRECTORY                   keys [--keyspace NAME] [--limit N] [--values]
          show DIRECTORY KEYSPACE PART…    one entry [--values]
          queues DIRECTORY                 queues with the counts of their records
          dead-letters DIRECTORY QUEUE     dead letters [--limit N] [--values]
          redrive DIRECTORY QUEUE          dead letters that --apply would make due [--id ID]…
          snapshot DIRECTORY TARGET        a copy of a store that no process has open
          salvage DIRECTORY TARGET         a new store with everything that is readable, and a report of the loss

        Commands that open the store as its owner. Leases of the last owner end:
          redrive DIRECTORY QUEUE --apply  makes dead letters due again
          compact DIRECTORY                rewrites the files without removed content

          --json       output for programs: one JSON object a line
          --values     shows values and payloads, which are otherwise left out
          --limit N    at most N lines
          --id ID      only this record; can be repeated

        A part of a key that is not plain text is written as hex: and hexadecimal digits.
        A target is a directory that does not exist or is empty. Nothing is ever overwritten.

        Exit codes: 0 success, 1 the store is damaged, 2 wrong usage, 3 any other failure
        """

    init(_ arguments: [String]) throws(UsageError) {
        guard let name = arguments.first else { throw UsageError(line: "a command is missing; try --help") }
        guard let command = Command(rawValue: name) else {
            throw UsageError(line: "unknown command \(name); try --help")
        }
        self.command = command
        var words: [String] = []
        var rest = arguments.dropFirst()
        var endsOptions = false
        while let word = rest.popFirst() {
            if endsOptions || !word.hasPrefix("--") {
                words.append(word)
                continue
            }
            switch word {
            case "--": endsOptions = true
            case "--json": isJSON = true
            case _ where !command.options.contains(word):
                throw UsageError(line: "\(name) has no option \(word); try --help")
            case "--values": showsValues = true
            case "--apply": applies = true
            default:
                guard let value = rest.popFirst() else { throw UsageError(line: "\(word) needs a value") }
                switch word {
                case "--keyspace": keyspace = value
                case "--id": ids.append(value)
                default:
                    guard let number = Int(value), number > 0 else {
                        throw UsageError(line: "--limit takes a number from 1 on, not \(value)")
                    }
                    limit = number
                }
            }
        }
        guard let directory = words.first, !directory.isEmpty else {
            throw UsageError(line: "\(name) needs a directory")
        }
        self.directory = directory
        self.arguments = Array(words.dropFirst())
        guard command.argumentCounts.contains(self.arguments.count) else {
            throw UsageError(line: "\(name) has the wrong number of arguments (\(words.count)); try --help")
        }
    }
}
