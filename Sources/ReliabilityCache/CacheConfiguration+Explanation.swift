internal import ReliabilityCore

extension CacheConfiguration {
    /// Returns the lifetimes, the bounds and the worst case, as lines of text.
    ///
    /// ```swift
    /// log(CacheConfiguration.expiring(after: .seconds(300)).explain())
    /// ```
    ///
    /// - Returns: The text, for logs and reviews.
    public func explain() -> String { explanation(of: "cache", further: []).joined(separator: "\n") }

    /// Returns the lines of the explanation.
    ///
    /// - Parameters:
    ///   - name: The first line.
    ///   - further: Names and values to insert after the lifetime.
    /// - Returns: The lines.
    func explanation(of name: String, further: [(String, String)]) -> [String] {
        var rows = [("lifetime", jitter > 0 ? "\(timeToLive.text), at most \(jitter * 100) % less" : timeToLive.text)]
        rows += further
        rows.append(("early refresh", earlyRefreshText))
        rows.append(("stale", staleText))
        rows.append(("memory", "\(maxEntries) entries and \(maxCost) bytes"))
        rows.append(("loads", "\(maxConcurrentLoads) at the same time, \(maxWaitingLoads) wait"))
        let width = rows.map(\.0.count).max() ?? 0
        let lines = rows.map { name, value in
            "  " + name + String(repeating: " ", count: width - name.count + 2) + value
        }
        let age = Duration.nanoseconds(timeToLive.saturatingNanoseconds.saturatingAdd(longestStaleTime))
        return [name] + lines + [
            "At worst, a call waits for its load for \(loadTimeout.text).",
            "At worst, a value is served until \(age.text) after its load began.",
        ] + warnings.map { "Warning: \($0)." }
    }

    /// The values that work but are rarely intended, as sentences without a full stop.
    public var warnings: [String] {
        var warnings: [String] = []
        if loadTimeout >= timeToLive {
            warnings.append(
                "a load of \(loadTimeout.text) can end after its lifetime of \(timeToLive.text), and is then not stored"
            )
        }
        if staleIfError > .zero, failureBackoff >= staleIfError {
            warnings.append(
                "a failed load is not repeated within staleIfError of \(staleIfError.text): failureBackoff is "
                    + failureBackoff.text
            )
        }
        if maxWaitingLoads == 0 {
            warnings.append("a load above maxConcurrentLoads is rejected without a wait")
        }
        return warnings
    }

    private var earlyRefreshText: String {
        switch earlyRefresh {
        case .none, .probabilistic(beta: 0): "none"
        case .probabilistic(let beta):
            "in the background, on average \(beta) times the duration of a load before the end"
        }
    }

    private var staleText: String {
        var parts: [String] = []
        if staleWhileRevalidate > .zero { parts.append("\(staleWhileRevalidate.text) during a load") }
        if staleIfError > .zero {
            parts.append("\(staleIfError.text) after a failed load, which is repeated after \(failureBackoff.text)")
        }
        return parts.isEmpty ? "never" : parts.joined(separator: ", ")
    }
}

extension TieredCacheConfiguration {
    /// Returns the lifetimes, the bounds and the worst case, as lines of text.
    ///
    /// - Returns: The text, for logs and reviews.
    public func explain() -> String {
        let further = [
            ("copies", "\(local.timeToLive.text) in the memory of a process"),
            ("lease", "\(lease.text) after the end of the process that loads"),
            ("invalidations", "\(maxPendingInvalidations) wait for the store, then everything is invalidated"),
            ("marks", acceptsMarks ? "select values of the store" : "load the value from the source"),
        ]
        var lines = cache.explanation(of: "tiered cache", further: further)
        let local = local.timeToLive
        let age = Duration.nanoseconds(
            local.saturatingNanoseconds.saturatingAdd(cache.loadTimeout.saturatingNanoseconds)
        )
        lines.append(
            "At worst, a read sees an edit of another process after \(local.text), or after \(age.text) if a load runs."
        )
        return lines.joined(separator: "\n")
    }
}
