/// The arguments of a child process.
///
///     NetworkChild ADDRESS STORE DIRECTORY PROCESS ROLE,ROLE… LEASE [MISTAKE]
struct Job: Sendable {
    /// A part of the work of a process.
    enum Role: String {
        /// Makes equal requests through a deduplicator.
        case dedup
        /// Calls as often as the limiters allow.
        case limit
        /// Commits messages together with data.
        case produce
        /// Delivers messages until the standard input ends.
        case relay
        /// Delivers messages, and each delivery waits for the file `release-PROCESS`.
        case holdingRelay
        /// Runs the first operation of ``dedup`` without an end.
        case hang
    }

    /// A wrong way to work that the checks of the sink must find.
    enum Mistake: String, CaseIterable {
        /// The key of a deduplicated request contains the process.
        case requestOfProcess
        /// The key of a limit contains the process.
        case limitOfProcess
        /// A delivery returns before its effect.
        case effectAfterReturn
    }

    /// The URL of the server.
    var address: String
    /// The name of the store, or the schema of the database.
    var storeName: String
    /// The directory of the sink.
    var directory: String
    /// The name of the process.
    var process: String
    var roles: [Role]
    /// The lease of claims in milliseconds.
    var lease: Int
    var mistake: Mistake?

    /// The number of keys for which each process makes requests.
    static let keys = 6
    /// The number of simultaneous requests of a process for a key.
    static let requests = 5
    /// The number of calls that each limit allows during a test.
    static let limit = 120
    /// The number of messages of each producer.
    static let messages = 60
    /// The largest number of simultaneous deliveries of a relay.
    static let concurrency = 4

    /// The command line after the name of the program.
    var arguments: [String] {
        [address, storeName, directory, process, roles.map(\.rawValue).joined(separator: ","), "\(lease)"]
            + (mistake.map { [$0.rawValue] } ?? [])
    }

    init(
        address: String,
        storeName: String,
        directory: String,
        process: String,
        roles: [Role],
        lease: Int,
        mistake: Mistake? = nil
    ) {
        self.address = address
        self.storeName = storeName
        self.directory = directory
        self.process = process
        self.roles = roles
        self.lease = lease
        self.mistake = mistake
    }

    init?(arguments: [String]) {
        guard arguments.count == 6 || arguments.count == 7, let lease = Int(arguments[5]) else { return nil }
        let roles = arguments[4].split(separator: ",").map { Role(rawValue: String($0)) }
        self.init(
            address: arguments[0],
            storeName: arguments[1],
            directory: arguments[2],
            process: arguments[3],
            roles: roles.compactMap { $0 },
            lease: lease,
            mistake: arguments.count == 7 ? Mistake(rawValue: arguments[6]) : nil
        )
        guard self.arguments == arguments else { return nil }
    }
}
