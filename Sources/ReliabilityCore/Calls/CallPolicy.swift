/// A policy that limits, repeats or rejects the run of an operation.
///
/// Every policy of this library conforms to this protocol. A pipeline composes policies of any kind, including your
/// own.
public protocol CallPolicy: Sendable {
    /// The layers of the policy from the outermost layer to the innermost.
    ///
    /// A single policy has a single layer. A composition has the layers of its policies. A policy that repeats its
    /// operation, waits or limits the time must declare so in its layer.
    var layers: [PolicyLayer] { get }

    /// Runs an operation under the policy.
    ///
    /// The operation keeps the caller's isolation and does not escape. The operation and its result need not be
    /// `Sendable`.
    ///
    /// - Parameter operation: The operation.
    /// - Returns: The operation's value.
    /// - Throws: The operation's error or an error of the policy.
    nonisolated(nonsending) func run<Success>(
        _ operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success
}

extension CallPolicy {
    /// A single layer named after the type, with one attempt and an unknown wait.
    public var layers: [PolicyLayer] { [PolicyLayer(.other, "\(Self.self)", waits: nil)] }
}
