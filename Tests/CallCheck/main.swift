let suites: [(name: String, run: @Sendable () async -> Void)] = [
    ("pending", pendingSuite), ("schedules", schedulesSuite),
]

let arguments = CommandLine.arguments.dropFirst()
let chosen = suites.filter { arguments.contains($0.name) }
if chosen.isEmpty || chosen.count != arguments.count {
    print("CallCheck " + suites.map(\.name).joined(separator: " | "))
} else {
    for suite in chosen { await suite.run() }
}
