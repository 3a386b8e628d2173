/// Returns the preferred task executor of the current task, or `nil` if there is none.
///
/// An unstructured task does not inherit the preference of its creator. The value is always `nil` before Swift 6.3 and
/// before Apple's systems 26.4.
package func preferredTaskExecutor() -> (any TaskExecutor)? {
    #if compiler(>=6.3)
    if #available(macOS 26.4, iOS 26.4, tvOS 26.4, watchOS 26.4, visionOS 26.4, *) {
        return unsafe withUnsafeCurrentTask { unsafe $0?.unownedTaskExecutor?.asTaskExecutor() }
    }
    #endif
    return nil
}

/// Returns the name of the current task, or `nil` if the task has no name or the system does not support task names.
package func currentTaskName() -> String? {
    if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) { Task.name } else { nil }
}

/// Starts a task.
///
/// The task starts in place on Linux and on Apple's systems from version 26. Older systems enqueue the task.
///
/// - Parameters:
///   - executor: The preferred executor of the task. Defaults to `nil` for no preference.
///   - operation: The work of the task.
/// - Returns: The task.
package func startTask<Success: Sendable>(
    on executor: (any TaskExecutor)? = nil,
    _ operation: @escaping @Sendable () async -> Success
) -> Task<Success, Never> {
    if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) {
        Task.immediate(executorPreference: executor) { @concurrent in await operation() }
    } else {
        Task(executorPreference: executor) { @concurrent in await operation() }
    }
}
