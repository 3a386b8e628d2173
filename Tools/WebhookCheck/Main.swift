import Dispatch
import Foundation

/// `WebhookCheck receive DIRECTORY PORT`: receives webhooks over HTTP on the loopback interface.
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
        default: fail()
        }
    }

    private static func fail() -> Never {
        FileHandle.standardError.write(Data("usage: WebhookCheck receive DIRECTORY PORT\n".utf8))
        exit(64)
    }
}
