#if canImport(Darwin)
import Darwin
#elseif canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Files to which several processes append lines.
///
/// A line is one `write` to a file that is open for appending. The order of the lines is therefore the order of the
/// writes of all processes.
struct Sink: Sendable {
    /// A file of the sink.
    enum File: String {
        /// The processes that have opened their stores.
        case ready
        /// `KEY PROCESS KIND` for each run of a deduplicated operation.
        case charges
        /// `KEY VALUE` for each answer to a deduplicated request.
        case answers
        /// `LIMIT` for each allowed call.
        case allowed
        /// `LIMIT` for each call whose counting has an unknown outcome.
        case unsure
        /// `ID` before the first commit of a message.
        case sent
        /// `ID` after the acknowledged commit of a message.
        case acknowledged
        /// `delivered ID PROCESS` for each delivery and `settled ID PROCESS` for each settled delivery.
        case deliveries
        /// Other events, for the explanation of a failure.
        case events
    }

    let directory: String

    /// Appends a line.
    func append(_ line: String, to file: File) {
        let descriptor = unsafe open("\(directory)/\(file.rawValue)", O_WRONLY | O_APPEND | O_CREAT, 0o666)
        let bytes = Array((line + "\n").utf8)
        let count = unsafe write(descriptor, bytes, bytes.count)
        // A lost line would look like a lost effect.
        if count != bytes.count { exit(5) }
        close(descriptor)
    }
}
