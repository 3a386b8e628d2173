/// A borrowed view of the bytes of a key.
///
/// The view is valid only while its owner keeps the bytes. No view outlives the call that created the view.
@safe struct KeyBytes {
    let base: UnsafeRawPointer
    let count: Int

    init(_ base: UnsafeRawPointer, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    /// Returns the 8 bytes from `offset` as a big-endian number, padded with zeros at the end of the key.
    @inline(__always)
    func word(at offset: Int) -> UInt64 {
        let rest = count - offset
        if rest >= 8 { return unsafe UInt64(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        if rest <= 0 { return 0 }
        if count >= 8 {
            let last = unsafe UInt64(bigEndian: base.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self))
            return last << UInt64(64 - 8 * rest)
        }
        var word: UInt64 = 0
        for index in 0..<rest {
            let byte = unsafe base.load(fromByteOffset: offset + index, as: UInt8.self)
            word |= UInt64(byte) << UInt64(56 - 8 * index)
        }
        return word
    }

    /// Compares the bytes from `offset` with the bytes of another key from the same offset.
    ///
    /// - Returns: A negative number, zero or a positive number.
    func compare(_ other: KeyBytes, from offset: Int = 0) -> Int {
        let shorter = min(count, other.count)
        var position = offset
        while position < shorter {
            let left = word(at: position)
            let right = other.word(at: position)
            if left != right { return left < right ? -1 : 1 }
            position += 8
        }
        // Zeros that end a key equal the padding of a shorter key, so the lengths decide.
        return count - other.count
    }

    /// Returns the number of bytes that both keys begin with.
    func commonPrefixCount(with other: KeyBytes) -> Int {
        let shorter = min(count, other.count)
        var position = 0
        while position < shorter {
            let difference = word(at: position) ^ other.word(at: position)
            if difference != 0 { return min(shorter, position + difference.leadingZeroBitCount / 8) }
            position += 8
        }
        return shorter
    }

    /// Returns a Boolean value that indicates whether the key begins with the bytes of another key.
    func hasPrefix(_ prefix: KeyBytes) -> Bool {
        count >= prefix.count && commonPrefixCount(with: prefix) == prefix.count
    }

    /// The bytes in an array.
    var array: [UInt8] { unsafe [UInt8](UnsafeRawBufferPointer(start: base, count: count)) }
}

extension [UInt8] {
    /// Calls `body` with a view of the bytes.
    func withKeyBytes<Result>(_ body: (KeyBytes) -> Result) -> Result {
        unsafe withUnsafeBytes { buffer in
            if let base = buffer.baseAddress { return unsafe body(KeyBytes(base, count: buffer.count)) }
            // An empty array may have no address. The view of an empty key reads nothing.
            let nothing: UInt64 = 0
            return unsafe withUnsafePointer(to: nothing) { unsafe body(KeyBytes(UnsafeRawPointer($0), count: 0)) }
        }
    }
}
