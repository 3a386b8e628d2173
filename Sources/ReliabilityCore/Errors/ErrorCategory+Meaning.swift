// The meaning of a category for every module. The table in the documentation of `ErrorCategory` states the same.
extension ErrorCategory {
    /// A Boolean value that indicates whether the request itself is at fault.
    ///
    /// Any dependency would give the same answer to the same request.
    public var isRequestFault: Bool {
        switch self {
        case .invalid, .unauthenticated, .forbidden, .notFound, .conflict, .preconditionFailed, .tooLarge,
            .unprocessable:
            true
        default: false
        }
    }

    /// A Boolean value that indicates whether the same request can succeed later.
    public var isTransient: Bool {
        switch self {
        case .timeout, .unavailable, .rateLimited: true
        default: false
        }
    }

    /// The HTTP status of the category, or `nil` for a category that this library does not define.
    public var httpStatus: Int? {
        switch self {
        case .invalid: 400
        case .unauthenticated: 401
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .preconditionFailed: 412
        case .tooLarge: 413
        case .unprocessable: 422
        case .rateLimited: 429
        case .cancelled: 499
        case .internal: 500
        case .unavailable: 503
        case .timeout: 504
        default: nil
        }
    }

    /// The category of a failed call for the client of this service.
    ///
    /// A fault of the request to the dependency is `unavailable`, because the client of this service is not at fault. A
    /// rate limit of the dependency is `unavailable` as well. An error without a category is `internal`. An error of
    /// the category `cancelled` is `internal`.
    ///
    /// - Parameter error: The error of the dependency, or `nil` if the error has no category.
    /// - Returns: The category for the client.
    package static func ofFailedDependency(_ error: (any ReliabilityError)?) -> ErrorCategory {
        guard let category = error?.category, category != .cancelled else { return .internal }
        return category == .rateLimited || category.isRequestFault ? .unavailable : category
    }
}

extension Error {
    /// The error as a ``ReliabilityError``, or `nil` if the error does not conform.
    package var reliability: (any ReliabilityError)? { self as? any ReliabilityError }
}
