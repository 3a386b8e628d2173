/// A block of memory with the key, the value and the state of an entry or a record.
///
/// The index that contains the item owns the block and frees the block. An item is a plain reference.
@safe struct Item: Equatable {
    // The layout: version, time, place in a heap, length of the value, length of the key, key, value.
    private static let timeOffset = 8
    private static let heapIndexOffset = 16
    private static let valueCountOffset = 20
    private static let keyCountOffset = 24
    private static let keyOffset = 28
    private static let notInHeap = UInt32.max

    let base: UnsafeMutableRawPointer

    init(base: UnsafeMutableRawPointer) { unsafe self.base = base }

    /// Allocates an item with a value of `valueCount` bytes that are not initialized.
    init(key: KeyBytes, valueCount: Int, version: UInt64, time: Int64) {
        let size = Self.keyOffset + key.count + valueCount
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        unsafe base.storeBytes(
            of: UInt32(truncatingIfNeeded: valueCount),
            toByteOffset: Self.valueCountOffset,
            as: UInt32.self
        )
        unsafe base.storeBytes(
            of: UInt32(truncatingIfNeeded: key.count),
            toByteOffset: Self.keyCountOffset,
            as: UInt32.self
        )
        unsafe (base + Self.keyOffset).copyMemory(from: key.base, byteCount: key.count)
        self.version = version
        self.time = time
        heapIndex = nil
    }

    /// Allocates an item with a value.
    init(key: KeyBytes, value: [UInt8], version: UInt64, time: Int64) {
        self.init(key: key, valueCount: value.count, version: version, time: time)
        setValue(value)
    }

    static func == (left: Item, right: Item) -> Bool { unsafe left.base == right.base }

    /// Frees the memory of the item.
    func free() { unsafe base.deallocate() }

    var version: UInt64 {
        get { unsafe base.load(as: UInt64.self) }
        nonmutating set { unsafe base.storeBytes(of: newValue, as: UInt64.self) }
    }

    /// The expiry of an entry or the time of a record, in Unix milliseconds.
    var time: Int64 {
        get { unsafe base.load(fromByteOffset: Self.timeOffset, as: Int64.self) }
        nonmutating set { unsafe base.storeBytes(of: newValue, toByteOffset: Self.timeOffset, as: Int64.self) }
    }

    /// The place of the item in its heap, or `nil` if the item is in no heap.
    var heapIndex: Int? {
        get {
            let index = unsafe base.load(fromByteOffset: Self.heapIndexOffset, as: UInt32.self)
            return index == Self.notInHeap ? nil : Int(index)
        }
        nonmutating set {
            let index = newValue.map { UInt32(truncatingIfNeeded: $0) } ?? Self.notInHeap
            unsafe base.storeBytes(of: index, toByteOffset: Self.heapIndexOffset, as: UInt32.self)
        }
    }

    var keyCount: Int { unsafe Int(base.load(fromByteOffset: Self.keyCountOffset, as: UInt32.self)) }
    var valueCount: Int { unsafe Int(base.load(fromByteOffset: Self.valueCountOffset, as: UInt32.self)) }

    /// A view of the key.
    var key: KeyBytes { unsafe KeyBytes(base + Self.keyOffset, count: keyCount) }

    /// The start of the value's bytes.
    var valueBase: UnsafeMutableRawPointer { unsafe base + (Self.keyOffset + keyCount) }

    /// A view of the value.
    var valueBytes: KeyBytes { unsafe KeyBytes(valueBase, count: valueCount) }

    /// A copy of the value.
    var value: [UInt8] { unsafe [UInt8](UnsafeRawBufferPointer(start: valueBase, count: valueCount)) }

    /// Replaces the bytes of the value with bytes of the same length.
    func setValue(_ value: [UInt8]) {
        unsafe value.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            unsafe valueBase.copyMemory(from: start, byteCount: min(bytes.count, valueCount))
        }
    }

    /// The expiry of an entry in Unix milliseconds, or `nil` if the entry does not expire.
    var expiresAt: Int64? { heapIndex == nil ? nil : time }
}
