internal import ReliabilityCore

/// The changes of an ``AdaptiveLimit`` without clock and locks.
struct LimitAdaptation: Hashable, Sendable {
    /// The calls since the last change.
    private struct Window: Hashable {
        var start: Int64
        var successes = 0
        var failures = 0
        /// The sum of the successes' durations.
        var total = 0.0
        /// The highest number of calls at the same time.
        var mostRunning = 0

        var calls: Int { successes + failures }
        var meanDuration: Double { max(1, total / Double(successes)) }
    }

    private static let minCalls = 10
    private static let decrease = 0.9
    /// The inverse of the share of failures that lowers the limit.
    private static let callsPerFailure = 20
    /// The number of windows after which the shortest latency is measured again.
    private static let windowsBetweenProbes = 30

    private(set) var settings: AdaptiveLimit
    /// The limit before it is rounded and halved.
    private var estimate: Double
    private var window: Window?
    /// The shortest mean duration of a window since the last probe, and the shortest before that probe.
    private var shortest = (current: Double.infinity, previous: Double.infinity)
    private var windowsUntilProbe = windowsBetweenProbes
    private var isProbing = false
    /// The long-term mean of the duration, or 0 before the first window.
    private var longTerm = 0.0
    private var longTermWindows = 0.0

    init(_ settings: AdaptiveLimit) {
        self.settings = settings
        estimate = Double(settings.initial)
    }

    static func == (left: LimitAdaptation, right: LimitAdaptation) -> Bool {
        left.settings == right.settings && left.estimate == right.estimate && left.window == right.window
            && left.shortest == right.shortest && left.isProbing == right.isProbing && left.longTerm == right.longTerm
    }

    func hash(into hasher: inout Hasher) { hasher.combine(estimate) }

    /// The present limit.
    var limit: Int {
        let limit = Int(estimate)
        return isProbing ? max(settings.min, limit / 2) : limit
    }

    /// Takes over other settings and keeps the limit as far as the settings allow.
    mutating func reload(_ new: AdaptiveLimit) {
        if new.algorithm != settings.algorithm {
            let old = estimate
            self = LimitAdaptation(new)
            estimate = old
        }
        settings = new
        setEstimate(estimate)
    }

    /// Records the end of a call.
    ///
    /// - Parameters:
    ///   - outcome: The outcome. An ignored call changes nothing.
    ///   - duration: The time from the admission to the end.
    ///   - running: The number of calls at the same time, with this call.
    ///   - now: The time.
    mutating func record(_ outcome: Outcome, duration: Int64, running: Int, now: Int64) {
        if outcome == .ignored { return }
        var window = window ?? Window(start: now.saturatingSubtract(duration))
        defer { self.window = window }
        window.mostRunning = max(window.mostRunning, running)
        if outcome == .failure {
            window.failures += 1
        } else {
            // A call that began before the probe has waited behind more calls.
            if isProbing, now.saturatingSubtract(duration) < window.start { return }
            window.successes += 1
            window.total += Double(max(0, duration))
        }
        let age = now.saturatingSubtract(window.start)
        // A clock that was set back begins a new window.
        if age < 0 { window = Window(start: now) }
        if age >= settings.window.saturatingNanoseconds, window.calls >= Self.minCalls {
            end(window)
            window = Window(start: now)
        }
    }

    private mutating func end(_ window: Window) {
        let canGrow = window.mostRunning * 2 >= limit
        // Any dependency has a few failures. Such failures do not depend on the number of calls at the same time.
        if window.failures * Self.callsPerFailure >= window.calls {
            setEstimate(estimate * Self.decrease)
        } else {
            let target =
                switch settings.algorithm {
                case .aimd: estimate + 1
                case .vegas: vegas(window.meanDuration)
                case .gradient: gradient(window.meanDuration)
                }
            if target < estimate || canGrow { setEstimate(target) }
        }
        if settings.algorithm == .vegas { countProbe() }
    }

    private mutating func setEstimate(_ value: Double) {
        estimate = min(max(value, Double(settings.min)), Double(settings.max))
    }

    // MARK: Vegas

    private mutating func vegas(_ duration: Double) -> Double {
        shortest.current = min(shortest.current, duration)
        if isProbing { return estimate }
        let waiting = estimate * (1 - min(shortest.current, shortest.previous) / duration)
        let step = max(1, Self.log10(estimate))
        if waiting <= step { return estimate + 6 * step }
        if waiting < 3 * step { return estimate + step }
        if waiting <= 6 * step { return estimate }
        return estimate - max(step, (waiting - 6 * step) / 2)
    }

    private mutating func countProbe() {
        if isProbing {
            isProbing = false
            windowsUntilProbe = Self.windowsBetweenProbes
            return
        }
        windowsUntilProbe -= 1
        if windowsUntilProbe > 0 { return }
        isProbing = true
        shortest = (.infinity, shortest.current)
    }

    /// Returns the logarithm with an error below 0.03, without a mathematics library.
    private static func log10(_ value: Double) -> Double {
        (Double(value.exponent) + value.significand - 1) * 0.301_03
    }

    // MARK: Gradient

    private mutating func gradient(_ duration: Double) -> Double {
        longTermWindows = min(longTermWindows + 1, 600)
        longTerm += (duration - longTerm) / longTermWindows
        // After a slow period, the long-term mean would take minutes to fall.
        if longTerm > 2 * duration { longTerm *= 0.95 }
        let gradient = max(0.5, min(1, 1.5 * longTerm / duration))
        return estimate * 0.8 + (estimate * gradient + 4) * 0.2
    }
}
