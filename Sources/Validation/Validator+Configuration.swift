public import ReliabilityCore

extension Validator {
    /// The size limits of an input and the treatment of unknown members.
    ///
    /// Every limit is at least 1.
    ///
    /// The parsed document takes up to 20 bytes of memory for each value and key, plus the text of strings with
    /// escapes. The arrays that hold the document may be up to twice as large as their contents.
    public struct Configuration: Hashable, Sendable {
        /// The configuration with the default of every field.
        public static let standard = Configuration()

        /// The maximum size of a body in bytes (up to 1 GiB).
        public var maxBodyBytes: Int
        /// The maximum number of nested arrays and objects (up to 1,024).
        ///
        /// Values inside more than 64 arrays and objects can be skipped and be part of a canonical form, but not be
        /// read. A field at such a depth is reported as `validation.too_deep`. Recursive readers therefore do not
        /// exhaust the stack.
        public var maxDepth: Int
        /// The maximum length of a string or key in UTF-8 bytes after escapes are resolved.
        public var maxStringBytes: Int
        /// The maximum length of a number's text in bytes.
        public var maxNumberBytes: Int
        /// The maximum number of items in an array.
        public var maxArrayItems: Int
        /// The maximum number of members in an object.
        public var maxObjectMembers: Int
        /// The maximum number of values in a body.
        ///
        /// Arrays and objects count as values. Keys do not count.
        public var maxValues: Int
        /// The maximum number of issues that an error lists (up to 1,000).
        public var maxIssues: Int
        /// The treatment of members that the closure did not read.
        public var unknownKeys: UnknownKeys

        /// Creates a configuration.
        ///
        /// - Parameters:
        ///   - maxBodyBytes: The maximum size of a body in bytes. Defaults to 1 MiB.
        ///   - maxDepth: The maximum number of nested arrays and objects. Defaults to 64.
        ///   - maxStringBytes: The maximum length of a string or key in bytes. Defaults to 64 KiB.
        ///   - maxNumberBytes: The maximum length of a number's text in bytes. Defaults to 64.
        ///   - maxArrayItems: The maximum number of items in an array. Defaults to 10,000.
        ///   - maxObjectMembers: The maximum number of members in an object. Defaults to 1,000.
        ///   - maxValues: The maximum number of values in a body. Defaults to 100,000.
        ///   - maxIssues: The maximum number of issues that an error lists. Defaults to 100.
        ///   - unknownKeys: The treatment of members that the closure did not read. Defaults to
        ///     ``Validator/UnknownKeys/reject``.
        public init(
            maxBodyBytes: Int = 1 << 20,
            maxDepth: Int = 64,
            maxStringBytes: Int = 64 << 10,
            maxNumberBytes: Int = 64,
            maxArrayItems: Int = 10_000,
            maxObjectMembers: Int = 1_000,
            maxValues: Int = 100_000,
            maxIssues: Int = 100,
            unknownKeys: UnknownKeys = .reject
        ) {
            self.maxBodyBytes = maxBodyBytes
            self.maxDepth = maxDepth
            self.maxStringBytes = maxStringBytes
            self.maxNumberBytes = maxNumberBytes
            self.maxArrayItems = maxArrayItems
            self.maxObjectMembers = maxObjectMembers
            self.maxValues = maxValues
            self.maxIssues = maxIssues
            self.unknownKeys = unknownKeys
        }

        /// Checks every limit.
        ///
        /// - Throws: `ConfigurationError` with every problem and its value if a limit is out of range.
        public func validate() throws(ConfigurationError) {
            var problems = ConfigurationProblems("validator")
            problems.require(
                (1...1 << 30).contains(maxBodyBytes),
                "maxBodyBytes must be from 1 to 1,073,741,824 (is \(maxBodyBytes))"
            )
            problems.require((1...1024).contains(maxDepth), "maxDepth must be from 1 to 1,024 (is \(maxDepth))")
            problems.require(maxStringBytes >= 1, "maxStringBytes must be at least 1 (is \(maxStringBytes))")
            problems.require(maxNumberBytes >= 1, "maxNumberBytes must be at least 1 (is \(maxNumberBytes))")
            problems.require(maxArrayItems >= 1, "maxArrayItems must be at least 1 (is \(maxArrayItems))")
            problems.require(maxObjectMembers >= 1, "maxObjectMembers must be at least 1 (is \(maxObjectMembers))")
            problems.require(maxValues >= 1, "maxValues must be at least 1 (is \(maxValues))")
            problems.require((1...1000).contains(maxIssues), "maxIssues must be from 1 to 1,000 (is \(maxIssues))")
            try problems.throwIfAny()
        }
    }
}
