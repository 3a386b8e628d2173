/// An error that stands for the failed attempts of a call.
///
/// Its category is for the client of this service, for whom the dependency's category may have another meaning. A policy
/// around the call judges by the attempts' own.
package protocol AttemptsError: Error {
    /// The error of the attempt that decides about the call, or what this error was mapped to.
    var decidingError: any Error { get }
}
