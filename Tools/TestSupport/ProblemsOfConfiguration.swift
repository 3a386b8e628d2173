internal import ReliabilityCore

/// The problems that the `validate()` of a configuration reports, for a test.
///
/// - Parameter validate: The method.
/// - Returns: Every problem, or an empty array for a valid configuration.
package func problems(of validate: () throws -> Void) -> [String] {
    do { try validate() } catch { return (error as? ConfigurationError)?.problems ?? ["\(error)"] }
    return []
}
