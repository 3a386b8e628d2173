import Foundation

// swift run -c release StoreCheck SUITE [OPTIONS]

let arguments = Array(CommandLine.arguments.dropFirst(2))
switch CommandLine.arguments.dropFirst().first {
case "flips": exit(FlipsSuite.run(arguments) ? 0 : 1)
default:
    print("usage: StoreCheck SUITE [OPTIONS]; a suite is one of: flips")
    exit(64)
}
