internal import ReliabilityCore

extension Validator {
    /// How large an input may be.
    ///
    /// Parsing takes time in proportion to the body, whatever is in it, and beside the body up to 20 bytes of memory for
    /// each value and key, in arrays that may be twice as long as they must.
    public struct Limits: Hashable, Sendable {
        /// The most bytes a body may have.
        public let bodyBytes: Int
        /// The most arrays and objects inside one another.
        ///
        /// A value in more than 64 of them can be skipped and be part of a canonical form, but not be read: a field there is
        /// reported as `validation.too_deep`. So readers that call one another, level by level, do not use up the stack.
        public let depth: Int
        /// The most bytes of a string or key, in UTF-8, after escapes are resolved.
        public let stringBytes: Int
        /// The most bytes of a number's text.
        public let numberBytes: Int
        /// The most items of one array.
        public let arrayItems: Int
        /// The most members of one object.
        public let objectMembers: Int
        /// The most values in the whole body: arrays, objects and what is in them.
        public let values: Int
        /// The most problems one error lists.
        public let issues: Int

        /// Creates limits.
        ///
        /// - Parameters:
        ///   - bodyBytes: The most bytes a body may have, at most 1 GiB.
        ///   - depth: The most arrays and objects inside one another, at most 1,024.
        ///   - stringBytes: The most bytes of a string or key.
        ///   - numberBytes: The most bytes of a number's text.
        ///   - arrayItems: The most items of one array.
        ///   - objectMembers: The most members of one object.
        ///   - values: The most values in the whole body.
        ///   - issues: The most problems one error lists, at most 1,000.
        /// - Precondition: Every limit is at least 1 and at most what is said above.
        public init(
            bodyBytes: Int = 1 << 20,
            depth: Int = 64,
            stringBytes: Int = 64 << 10,
            numberBytes: Int = 64,
            arrayItems: Int = 10_000,
            objectMembers: Int = 1_000,
            values: Int = 100_000,
            issues: Int = 100
        ) {
            requireValid((1...1 << 30).contains(bodyBytes), "bodyBytes is 1 to 1,073,741,824 (is \(bodyBytes))")
            requireValid((1...1024).contains(depth), "depth is 1 to 1,024 (is \(depth))")
            requireValid(stringBytes >= 1, "stringBytes is at least 1 (is \(stringBytes))")
            requireValid(numberBytes >= 1, "numberBytes is at least 1 (is \(numberBytes))")
            requireValid(arrayItems >= 1, "arrayItems is at least 1 (is \(arrayItems))")
            requireValid(objectMembers >= 1, "objectMembers is at least 1 (is \(objectMembers))")
            requireValid(values >= 1, "values is at least 1 (is \(values))")
            requireValid((1...1000).contains(issues), "issues is 1 to 1,000 (is \(issues))")
            self.bodyBytes = bodyBytes
            self.depth = depth
            self.stringBytes = stringBytes
            self.numberBytes = numberBytes
            self.arrayItems = arrayItems
            self.objectMembers = objectMembers
            self.values = values
            self.issues = issues
        }
    }
}
