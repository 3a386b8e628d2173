/// The state of an update in an entry.
extension AtomicUpdate {
    /// A count and an instant in Unix nanoseconds.
    ///
    /// The value of an entry is the tag of the update and these numbers as big-endian 64-bit integers.
    struct Counter {
        static let byteCount = 17

        let count: Int64
        let end: Int64

        /// The value of an entry with the state.
        func value(tag: UInt8) -> [UInt8] {
            unsafe [UInt8](unsafeUninitializedCapacity: Self.byteCount) { bytes, count in
                guard let base = bytes.baseAddress else { return }
                unsafe write(to: UnsafeMutableRawPointer(base), tag: tag)
                count = Self.byteCount
            }
        }

        func write(to base: UnsafeMutableRawPointer, tag: UInt8) {
            unsafe base.storeBytes(of: tag, as: UInt8.self)
            unsafe base.storeBytes(of: count.bigEndian, toByteOffset: 1, as: Int64.self)
            unsafe base.storeBytes(of: end.bigEndian, toByteOffset: 9, as: Int64.self)
        }
    }

    /// The decision, the new state if there is one, and the life of the new state.
    struct Effect {
        let decision: Decision
        let counter: Counter?
        let expiresAfter: Duration
    }

    /// The first byte of a value of this kind of update.
    var tag: UInt8 {
        switch self {
        case .add: 0x01
        case .gcra: 0x02
        case .fixedWindow: 0x03
        }
    }

    /// Returns the state in a value, or `nil` if this kind of update cannot have written the value.
    func counter(_ value: KeyBytes) -> Counter? {
        guard value.count == Counter.byteCount, value.byte(0) == tag else { return nil }
        return Counter(
            count: Int64(bitPattern: value.word(at: 1)),
            end: Int64(bitPattern: value.word(at: 9))
        )
    }
}
