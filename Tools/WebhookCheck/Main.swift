import Dispatch
import Foundation

/// Receives and sends webhooks over HTTP on the loopback interface.
///
///     WebhookCheck receive DIRECTORY PORT    receives webhooks until the end of the process
///     WebhookCheck send PORT COUNT           sends a number of webhooks to each endpoint of a server
///
/// `.ci/webhooks` runs the program with clients of other projects on the other side.
@main
struct WebhookCheck {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch (arguments.first, arguments.count) {
        case ("receive", 3):
            guard let port = Int(arguments[2]) else { fail() }
            try await Receiver(directory: arguments[1]).run(port: port)
        case ("send", 3):
            guard let port = Int(arguments[1]), let count = Int(arguments[2]) else { fail() }
            try await send(port: port, messages: count)
        default: fail()
        }
    }

    private static func fail() -> Never {
        FileHandle.standardError.write(Data("usage: WebhookCheck receive DIRECTORY PORT, or send PORT COUNT\n".utf8))
        exit(64)
    }
}
