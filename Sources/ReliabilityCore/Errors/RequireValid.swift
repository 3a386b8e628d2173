/// Ends the process and prints a message in every build unless a condition holds.
///
/// `precondition` prints its message in debug builds only.
///
/// - Parameters:
///   - isTrue: The condition.
///   - message: The problem with the value and the valid range.
///   - file: The file of the caller.
///   - line: The line of the caller.
@inlinable
package func requireValid(
    _ isTrue: Bool,
    _ message: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if isTrue { return }
    endProcess(message(), file: file, line: line)
}

/// Ends the process and prints every problem in every build if a configuration is invalid.
///
/// - Parameters:
///   - validate: The configuration's `validate()`.
///   - file: The file of the caller.
///   - line: The line of the caller.
package func requireValid(
    _ validate: () throws(ConfigurationError) -> Void,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    do throws(ConfigurationError) { try validate() } catch {
        endProcess("\(error)", file: file, line: line)
    }
}

/// Ends the process and prints a message in every build.
///
/// - Parameters:
///   - message: The problem with the value and the valid range.
///   - file: The file of the caller.
///   - line: The line of the caller.
@inline(never)
@usableFromInline
package func endProcess(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    writeToStandardError("\(file):\(line): Fatal error: \(message)\n")
    preconditionFailure(message, file: file, line: line)
}
