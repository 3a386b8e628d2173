/// A configuration that was rejected.
///
/// The `validate()` method of every configuration throws this error. A reload throws this error and changes nothing.
public struct ConfigurationError: ReliabilityError, Hashable, CustomStringConvertible {
    /// The configured part, such as `circuit breaker` or `pipeline payments`.
    public let part: String
    /// The problems as phrases with the values.
    ///
    /// The array is never empty.
    public let problems: [String]

    package init(part: String, problems: [String]) {
        self.part = part
        self.problems = problems
    }

    /// The code `configuration.invalid`.
    public var code: ErrorCode { "configuration.invalid" }
    /// The category `internal`.
    public var category: ErrorCategory { .internal }
    /// The message for clients, which names no part.
    public var message: String { "Something went wrong." }
    /// The code, the part and every problem as text for logs.
    public var description: String { "\(code): \(part): \(problems.joined(separator: "; "))" }
}

/// The problems of a configuration, collected by its `validate()`.
package struct ConfigurationProblems: Sendable {
    private let part: String
    private var list: [String] = []

    /// Creates an empty collection.
    ///
    /// - Parameter part: The configured part, as in ``ConfigurationError/part``.
    package init(_ part: String) { self.part = part }

    /// Records a problem unless a condition holds.
    ///
    /// - Parameters:
    ///   - isTrue: The condition.
    ///   - problem: The problem with the value.
    package mutating func require(_ isTrue: Bool, _ problem: @autoclosure () -> String) {
        if !isTrue { list.append(problem()) }
    }

    /// Records the problems of a nested configuration.
    ///
    /// - Parameters:
    ///   - name: The name of the field that holds the nested configuration.
    ///   - validate: The nested configuration's `validate()`.
    package mutating func require(_ name: String, _ validate: () throws(ConfigurationError) -> Void) {
        do throws(ConfigurationError) { try validate() } catch {
            list += error.problems.map { "\(name): \($0)" }
        }
    }

    /// Throws the recorded problems unless there are none.
    ///
    /// - Throws: ``ConfigurationError``.
    package func throwIfAny() throws(ConfigurationError) {
        if !list.isEmpty { throw ConfigurationError(part: part, problems: list) }
    }
}
