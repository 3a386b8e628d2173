internal import Synchronization

/// The number of times that the operation of a pipeline has begun.
///
/// The retries of the pipeline read this number.
///
/// A rejection proves that nothing was sent only if the operation did not begin in the attempt. The error alone proves
/// nothing. A policy inside the operation can throw the same rejection after the operation has sent something.
package final class SendTracker: Sendable {
    /// The tracker of the pipeline whose policies the current task runs, or `nil` inside the operation.
    @TaskLocal package static var current: SendTracker?

    private let begun = Atomic(0)

    /// The number of times that the operation has begun.
    package var count: Int { begun.load(ordering: .relaxed) }

    fileprivate func operationBegins() { begun.wrappingAdd(1, ordering: .relaxed) }
}

/// The policies of a pipeline with a ``SendTracker``.
package struct SendTracking<Policies: CallPolicy>: CallPolicy {
    private let policies: Policies

    /// Wraps policies.
    package init(_ policies: Policies) { self.policies = policies }

    /// The layers of the policies.
    package var layers: [PolicyLayer] { policies.layers }

    /// Runs an operation under the policies and counts how often the operation begins.
    nonisolated(nonsending) package func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let tracker = SendTracker()
        return try await SendTracker.$current.withValue(tracker) {
            try await policies.run {
                tracker.operationBegins()
                return try await SendTracker.$current.withValue(nil) { try await operation() }
            }
        }
    }
}
