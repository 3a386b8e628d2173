/// An error that stands for the failed attempts of a call.
///
/// The category of this error is for the client of this service. An enclosing policy classifies the deciding error
/// instead, because the category of the dependency's error can have another meaning for the client.
package protocol AttemptsError: Error {
    /// The error of the deciding attempt after any replacement by a `classify` function of an external call.
    var decisiveError: any Error { get }
}
