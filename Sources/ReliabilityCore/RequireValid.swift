/// Ends the process when a configuration cannot work, and prints the message in every build.
///
/// `precondition` prints its message in debug builds only. What was configured wrongly, with its value, is wanted most in
/// release builds.
///
/// - Parameters:
///   - isTrue: What must hold.
///   - message: What is wrong, with the value, and what is right.
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

/// Ends the process, and prints the message in every build.
///
/// - Parameters:
///   - message: What is wrong, with the value, and what is right.
///   - file: The file of the caller.
///   - line: The line of the caller.
@inline(never)
@usableFromInline
package func endProcess(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    writeToStandardError("\(file):\(line): Fatal error: \(message)\n")
    preconditionFailure(message, file: file, line: line)
}
