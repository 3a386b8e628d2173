internal import ReliabilityStore

/// The counts of an exploration.
package struct CrashCounts: Sendable {
    package var workloads = 0
    /// The number of crashes after which the store was opened and compared.
    package var states = 0
    /// The number of crashes during the opening after another crash.
    package var inRecovery = 0
    /// The number of crashes in a workload that continued after another crash.
    package var afterRecovery = 0
    /// The number of openings that were rejected after a change that no disk makes.
    package var rejections = 0

    package init() {}

    package mutating func add(_ other: CrashCounts) {
        workloads += other.workloads
        states += other.states
        inRecovery += other.inRecovery
        afterRecovery += other.afterRecovery
        rejections += other.rejections
    }
}

/// Crashes a small workload at every call to the file system in every way, and checks the state after each crash.
package struct CrashExplorer {
    /// The beginning of simulated workloads in Unix nanoseconds.
    package static let beginning: Int64 = 1_780_000_000_123_456_789

    package private(set) var counts = CrashCounts()
    private let number: Int
    private let workload: Workload
    private let quota: Int

    /// - Parameters:
    ///   - number: The workload's number.
    ///   - quota: The approximate number of crashes.
    package init(workload number: Int, quota: Int) {
        self.number = number
        self.quota = quota
        workload = Workload(number: number)
    }

    private struct State {
        var point: Int
        var choice: CrashChoice
    }

    /// Runs the workload and the crashes in its last step.
    ///
    /// The crashes in the earlier steps belong to shorter workloads.
    package mutating func explore() throws(Violation) {
        counts.workloads += 1
        let run: CrashRun
        do throws(Violation) {
            run = try CrashRun(workload.environment, seed: UInt64(number), unixTime: Self.beginning)
            for (index, step) in workload.steps.enumerated() {
                if index == workload.steps.count - 1 { run.mark() }
                try Workload.perform(step, number: index, on: run)
            }
            try run.checkContent()
            try run.checkOwner()
            try run.checkMissingFiles()
        } catch {
            throw Violation("\(workload): \(error)")
        }
        let points = run.points
        let states = Self.states(points, seed: UInt64(number))
        // A state costs itself and the states that are explored after it.
        let behind = max(3, quota / max(1, states.count) - 1)
        let stride = max(1, states.count * (1 + behind) / max(1, quota))
        var index = Int(UInt64(number) &* 0x9E37_79B9_7F4A_7C15 >> 33) % stride
        while index < states.count {
            let state = states[index]
            let point = points[state.point]
            var random = SplitMix(UInt64(number) << 32 | UInt64(index))
            do throws(Violation) {
                try explore(point, state.choice, run.now, behind: behind, &random)
            } catch {
                throw Violation(
                    "\(workload): \(state.choice) of \(point.disk.changes.count) changes "
                        + "at point \(state.point) of \(points.count): \(error)"
                )
            }
            index += stride
        }
    }

    private static func states(_ points: [CrashPoint], seed: UInt64) -> [State] {
        var states: [State] = []
        for (index, point) in points.enumerated() {
            let choices = point.disk.crashChoices(randomSubsets: 8, seed: seed << 8 | UInt64(index))
            states += choices.map { State(point: index, choice: $0) }
        }
        return states
    }

    private mutating func explore(
        _ point: CrashPoint,
        _ choice: CrashChoice,
        _ now: Int64,
        behind: Int,
        _ random: inout SplitMix
    ) throws(Violation) {
        let run = try recover(point, choice, now, keepsPoints: behind > 0, &random)
        guard let run, behind > 0 else { return }
        // Everything that was shown after the crash survives the next crash.
        let opening = run.points
        if let last = opening.last {
            counts.inRecovery += 1
            _ = try recover(last, .nothing, run.now, keepsPoints: false, &random)
        }
        // Another crash while the store was being opened.
        for _ in 0..<max(1, behind / 3) {
            guard let point = opening.randomElement(using: &random) else { break }
            counts.inRecovery += 1
            try again(point, run.now, &random)
        }
        // The workload goes on.
        var goingOn: CrashRun? = run
        var budget = behind - 1 - max(1, behind / 3)
        while budget > 0 {
            if goingOn == nil {
                goingOn = try recover(point, choice, now, keepsPoints: false, &random)
                budget -= 1
            }
            guard let run = goingOn else { return }
            goingOn = nil
            run.mark()
            let steps = (0..<Int.random(in: 1...2, using: &random)).map { _ in
                WorkloadStep.allCases[Int.random(in: 0..<WorkloadStep.allCases.count, using: &random)]
            }
            do throws(Violation) {
                for (index, step) in steps.enumerated() {
                    try Workload.perform(step, number: 100 + index, on: run)
                }
                for _ in 0..<min(budget, 8) {
                    guard let point = run.points.randomElement(using: &random) else { break }
                    counts.afterRecovery += 1
                    try again(point, run.now, &random)
                    budget -= 1
                }
            } catch {
                throw Violation("then \(steps): \(error)")
            }
        }
    }

    private mutating func again(_ point: CrashPoint, _ now: Int64, _ random: inout SplitMix) throws(Violation) {
        let choices = point.disk.crashChoices(randomSubsets: 8, seed: random.next())
        guard let choice = choices.randomElement(using: &random) else { return }
        do throws(Violation) {
            _ = try recover(point, choice, now, keepsPoints: false, &random)
        } catch {
            throw Violation("then \(choice) of \(point.disk.changes.count) changes: \(error)")
        }
    }

    /// Opens the store after a crash, or returns `nil` if the opening is rejected as permitted.
    private mutating func recover(
        _ point: CrashPoint,
        _ choice: CrashChoice,
        _ now: Int64,
        keepsPoints: Bool,
        _ random: inout SplitMix
    ) throws(Violation) -> CrashRun? {
        counts.states += 1
        let seed = random.next()
        // The wall clock is right, set back or ahead. Entries have expired, or expire during the opening.
        let back = -3_600_000_000_000
        let shift = [0, back, back, 2_500_000_000, 100_000_000_000][Int(random.next() % 5)]
        let run = try point.crash(
            choice,
            workload.environment,
            seed: seed,
            unixTime: now + Int64(shift),
            keepsPoints: keepsPoints
        )
        if run == nil { counts.rejections += 1 }
        return run
    }
}
