internal import ReliabilityCore

/// One attempt of a call, as a ``RetryError`` tells of it.
public struct RetryAttempt: Sendable, CustomStringConvertible {
    /// Which attempt it was, from 1.
    public let number: Int
    /// How long the policy waited before it.
    public let waited: Duration
    /// How long it ran.
    public let took: Duration
    /// What it threw; an ``UnwantedResultError`` when it returned a result that was to be tried again.
    public let error: any Error

    /// The attempt in one line, for logs.
    public var description: String {
        let wait = waited > .zero ? "after \(waited.text) " : ""
        return "#\(number) \(wait)ran \(took.text): \(Self.line(error))"
    }

    /// An error's description without line breaks and control characters: a log takes it for one line.
    private static func line(_ error: any Error) -> String {
        let breaks: [Unicode.GeneralCategory] = [.control, .lineSeparator, .paragraphSeparator]
        var line = String.UnicodeScalarView()
        for scalar in String(describing: error).unicodeScalars {
            line.append(breaks.contains(scalar.properties.generalCategory) ? " " : scalar)
        }
        return String(line)
    }
}
