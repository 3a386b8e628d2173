extension [UInt8] {
    /// Appends the count of the bytes as a LEB128 number and then the bytes.
    ///
    /// - Parameter bytes: The bytes.
    package mutating func append(counted bytes: some Collection<UInt8>) {
        var rest = UInt64(bytes.count)
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
        append(contentsOf: bytes)
    }
}

extension String {
    /// Returns the longest prefix of whole Unicode scalars within a number of UTF-8 bytes.
    ///
    /// - Parameter limit: The largest number of bytes.
    /// - Returns: The prefix.
    package func prefix(bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        // A string rounds an index within a scalar down to the beginning of the scalar (SE-0180).
        return String(self[..<utf8.index(startIndex, offsetBy: limit)])
    }
}
