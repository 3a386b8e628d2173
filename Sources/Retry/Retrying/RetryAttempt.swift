internal import ReliabilityCore

/// An attempt of a call in a ``RetryError``.
public struct RetryAttempt: Sendable, CustomStringConvertible {
    /// The number of the attempt, from 1.
    public let number: Int
    /// The wait before the attempt.
    public let waited: Duration
    /// The duration of the attempt.
    public let took: Duration
    /// The error of the attempt, or an ``UnwantedResultError`` if the attempt returned a result that was to be retried.
    public let error: any Error

    /// The attempt in one line, for logs.
    public var description: String {
        let wait = waited > .zero ? "after \(waited.text) " : ""
        return "#\(number) \(wait)ran \(took.text): \(Self.line(error))"
    }

    /// The description of an error without line breaks and control characters.
    private static func line(_ error: any Error) -> String {
        // A log reads a line break as the start of another entry.
        let breaks: [Unicode.GeneralCategory] = [.control, .lineSeparator, .paragraphSeparator]
        var line = String.UnicodeScalarView()
        for scalar in String(describing: error).unicodeScalars {
            line.append(breaks.contains(scalar.properties.generalCategory) ? " " : scalar)
        }
        return String(line)
    }
}
