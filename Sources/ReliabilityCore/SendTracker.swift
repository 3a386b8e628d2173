internal import Synchronization

/// The number of times that the operation of a pipeline has begun, for a retry in that pipeline.
///
/// A rejection proves that nothing was sent only if the operation has not begun in that attempt. An error cannot say so:
/// something inside the operation may have thrown the same rejection after the operation had sent something.
package final class SendTracker: Sendable {
    /// The tracker of the pipeline whose policies the current task is in; `nil` in the operation itself.
    @TaskLocal package static var current: SendTracker?

    private let begun = Atomic(0)

    /// How often the operation has begun.
    package var count: Int { begun.load(ordering: .relaxed) }

    fileprivate func operationBegins() { begun.wrappingAdd(1, ordering: .relaxed) }
}

/// The policies of a pipeline, with a ``SendTracker`` for those among them that ask for it.
package struct SendTracking<Policies: CallPolicy>: CallPolicy {
    private let policies: Policies

    /// Tracks the operation of `policies`.
    package init(_ policies: Policies) { self.policies = policies }

    /// The layers of the policies.
    package var layers: [PolicyLayer] { policies.layers }

    /// Runs `operation` under the policies, and counts its beginnings.
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
