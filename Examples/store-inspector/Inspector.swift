import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

/// Runs the commands.
struct Inspector: Sendable {
    let console: Console

    init(_ console: Console) { self.console = console }

    /// Runs a command line and returns the exit code.
    func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments == ["help"] {
            console.output(Options.usage + "\n")
            return ExitCode.success
        }
        let options: Options
        do throws(Options.UsageError) {
            options = try Options(arguments)
        } catch {
            console.error("store-inspector: \(error.line)\n")
            return ExitCode.usage
        }
        do {
            return try await run(options)
        } catch let error as StoreError {
            let isDamage =
                switch error.reason {
                case .corruption, .unsupportedFormat: true
                default: false
                }
            if options.isJSON {
                print(JSON.object([("error", .string(error.code.rawValue)), ("message", .string(error.explanation))]))
            }
            console.error("store-inspector: \(error.explanation)\n")
            if isDamage { console.error("store-inspector: salvage copies everything that is readable\n") }
            return isDamage ? ExitCode.damage : ExitCode.failure
        } catch {
            console.error("store-inspector: \(error)\n")
            return ExitCode.failure
        }
    }

    private func run(_ options: Options) async throws -> Int32 {
        switch options.command {
        case .verify: return verify(try await inspection(options), options)
        case .stats: return stats(try await inspection(options), options)
        case .list: return list(try await inspection(options), options)
        case .show: return try show(try await inspection(options), options)
        case .queues: return queues(try await inspection(options), options)
        case .deadLetters: return deadLetters(try await inspection(options), options)
        case .redrive where options.applies: return try await redrive(options)
        case .redrive: return planRedrive(try await inspection(options), options)
        case .compact: return try await compact(options)
        case .snapshot: return try await snapshot(options)
        case .salvage: return try await salvage(options)
        }
    }

    /// Reads the directory.
    ///
    /// The reading blocks a thread for long, and the process has nothing else to do.
    func inspection(_ options: Options) async throws -> StoreInspection {
        let progress = Progress(console, "reading")
        defer { progress.end() }
        return try StoreInspection(reading: options.directory) { progress.show($0, of: $1) }
    }

    /// Writes a line of text.
    func print(_ line: String) { console.output(line + "\n") }

    /// Writes a JSON value on a line.
    func print(_ json: JSON) { console.output(json.text + "\n") }

    /// Returns the exit code, and reports on standard error that the answer may be incomplete.
    func finish(_ inspection: StoreInspection) -> Int32 {
        guard let problem = inspection.problem else { return ExitCode.success }
        console.error(
            "store-inspector: the store is damaged (\(problem.explanation)); "
                + "the answer has only what is readable\n"
        )
        return ExitCode.damage
    }
}
