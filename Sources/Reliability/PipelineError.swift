public import ReliabilityCore

/// Policies or figures that cannot work were refused, and nothing was changed.
public struct PipelineError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The name of the pipeline or the external call.
    public let name: String
    /// All that is wrong, a sentence with its figures each; never empty.
    public let problems: [String]

    /// `pipeline.cannot_work`.
    public var code: ErrorCode { "pipeline.cannot_work" }
    /// `internal`.
    public var category: ErrorCategory { .internal }
    /// A constant sentence.
    public var message: String { "Something went wrong." }
    /// The code, the name and the problems, for logs.
    public var description: String { "\(code): \(name): \(problems.joined(separator: "; "))" }
}
