import StormModel

/// Sends ten times the requests that a gateway bears to a service with guards and to one without.
///
/// Both services have a gateway of their own and the same requests. The model of the storm is in Tools/StormModel.
func runStorm(seconds: Int, seed: UInt64) async throws {
    let storm = Storm(seconds: seconds)
    print("\(storm.length) s …")
    func report(_ storm: Storm, isGuarded: Bool) async throws -> StormReport {
        try await storm.run(isGuarded: isGuarded, clock: ContinuousClock(), generator: Randomness(seed: seed)) { work in
            Task { await work() }
        }
    }
    async let guarded = report(storm, isGuarded: true)
    async let bare = report(storm, isGuarded: false)
    for line in StormReport.comparison(try await guarded, try await bare) { print(line) }
}
