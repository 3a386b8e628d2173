/// A node of an `ItemTree`: up to 32 slots with an item or a child each.
///
/// A node stores the bytes that its keys begin with once. A slot stores the next 8 bytes of its key, the head. A search
/// therefore reads the memory of a node and the memory of one item. A slot of an inner node has the head of the
/// smallest key that the child had when the slot was written. The first slot of an inner node has no head.
@safe struct TreeNode: Equatable {
    static let capacity = 32
    /// The largest sum of two neighbors' slots for which the neighbors become one node.
    static let mergeLimit = 28
    // The layout: number of slots, kind, length of the prefix, prefix, slots of a head and a reference each.
    private static let prefixOffset = 4
    private static let prefixCapacity = 52
    private static let slotsOffset = 56
    private static let slotSize = 16

    let base: UnsafeMutableRawPointer

    init(isLeaf: Bool) {
        let size = Self.slotsOffset + Self.slotSize * Self.capacity
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 8)
        unsafe base.storeBytes(of: isLeaf ? 1 : 0, toByteOffset: 2, as: UInt8.self)
        count = 0
        prefixCount = 0
        padHeads(from: 0)
    }

    private init(base: UnsafeMutableRawPointer) { unsafe self.base = base }

    static func == (left: TreeNode, right: TreeNode) -> Bool { unsafe left.base == right.base }

    /// Frees the memory of the node.
    func free() { unsafe base.deallocate() }

    var isLeaf: Bool { unsafe base.load(fromByteOffset: 2, as: UInt8.self) == 1 }
    var isFull: Bool { count == Self.capacity }

    private(set) var count: Int {
        get { unsafe Int(base.load(as: UInt16.self)) }
        nonmutating set { unsafe base.storeBytes(of: UInt16(truncatingIfNeeded: newValue), as: UInt16.self) }
    }

    private var prefixCount: Int {
        get { unsafe Int(base.load(fromByteOffset: 3, as: UInt8.self)) }
        nonmutating set {
            unsafe base.storeBytes(of: UInt8(truncatingIfNeeded: newValue), toByteOffset: 3, as: UInt8.self)
        }
    }

    private var prefix: KeyBytes { unsafe KeyBytes(base + Self.prefixOffset, count: prefixCount) }

    /// The first slot with a head.
    private var firstHead: Int { isLeaf ? 0 : 1 }

    @inline(__always)
    private func slot(_ index: Int) -> UnsafeMutableRawPointer {
        unsafe base + (Self.slotsOffset + Self.slotSize * index)
    }

    @inline(__always)
    private func head(_ index: Int) -> UInt64 { unsafe slot(index).load(as: UInt64.self) }

    private func setHead(_ index: Int, _ head: UInt64) { unsafe slot(index).storeBytes(of: head, as: UInt64.self) }

    /// Sets the heads of slots that are not in use.
    private func padHeads(from index: Int) { for index in index..<Self.capacity { setHead(index, .max) } }

    private func reference(_ index: Int) -> UnsafeMutableRawPointer {
        unsafe slot(index).load(fromByteOffset: 8, as: UnsafeMutableRawPointer.self)
    }

    func item(_ index: Int) -> Item { unsafe Item(base: reference(index)) }
    func child(_ index: Int) -> TreeNode { unsafe TreeNode(base: reference(index)) }

    /// The item with the smallest key below the node.
    ///
    /// The node must not be empty.
    var minimum: Item {
        var node = self
        while !node.isLeaf { node = node.child(0) }
        return node.item(0)
    }

    /// The key of a slot, which is the smallest key of a child.
    private func key(_ index: Int) -> KeyBytes { isLeaf ? item(index).key : child(index).minimum.key }

    // MARK: Searching

    /// Returns the child with the range that contains a key.
    func childIndex(of key: KeyBytes) -> Int { rank(of: key, afterEqual: true) - 1 }

    /// Returns the first slot with a key that does not precede `key`.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - afterEqual: `true` if the slot of an equal key is skipped.
    /// - Returns: The slot, or the number of slots if every key precedes `key`.
    func rank(of key: KeyBytes, afterEqual: Bool) -> Int {
        let start = firstHead
        let count = count
        if start >= count { return start }
        let prefix = prefix
        let shared = prefix.commonPrefixCount(with: key)
        if shared < prefix.count {
            return key.count == shared || key.byte(shared) < prefix.byte(shared) ? start : count
        }
        let wanted = key.word(at: prefix.count)
        // The loads are independent of each other, so the processor waits for memory once and not at each step.
        // The number of slots is constant, because heads after the last slot are the largest number. A conditional
        // expression would become a jump, which the processor predicts wrongly in every node.
        var low = 0
        for index in 0..<Self.capacity {
            low &+= Int(unsafe unsafeBitCast(head(index) < wanted, to: UInt8.self))
        }
        low = max(low, start)
        guard low < count, head(low) == wanted else { return low }
        var high = low + 1
        while high < count, head(high) == wanted { high += 1 }
        while low < high {
            let middle = (low + high) / 2
            let order = self.key(middle).compare(key, from: prefix.count)
            if order < 0 || (afterEqual && order == 0) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: Changing

    func insert(_ item: Item, at index: Int) { unsafe insert(item.base, item.key, at: index) }

    func insert(_ child: TreeNode, at index: Int) { unsafe insert(child.base, child.minimum.key, at: index) }

    private func insert(_ reference: UnsafeMutableRawPointer, _ key: KeyBytes, at index: Int) {
        let size = (count - index) * Self.slotSize
        unsafe slot(index + 1).copyMemory(from: slot(index), byteCount: size)
        unsafe slot(index).storeBytes(of: reference, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
        count += 1
        setHead(index, of: key)
    }

    /// Replaces an item with an item of the same key.
    func replace(_ index: Int, with item: Item) {
        unsafe slot(index).storeBytes(of: item.base, toByteOffset: 8, as: UnsafeMutableRawPointer.self)
    }

    func remove(at index: Int) {
        let size = (count - index - 1) * Self.slotSize
        unsafe slot(index).copyMemory(from: slot(index + 1), byteCount: size)
        count -= 1
        setHead(count, .max)
        // The first slot of an inner node has no head, and a search counts all heads.
        if !isLeaf, index == 0, count > 0 { setHead(0, 0) }
    }

    /// Reads the head of a child again, after the child got a smaller key.
    func refreshHead(_ index: Int) { setHead(index, of: key(index)) }

    private func setHead(_ index: Int, of key: KeyBytes) {
        if count > firstHead + 1, key.hasPrefix(prefix) {
            setHead(index, key.word(at: prefixCount))
        } else {
            rebuildHeads()
        }
    }

    /// Finds the longest prefix and writes all heads.
    private func rebuildHeads() {
        prefixCount = 0
        padHeads(from: count)
        if !isLeaf { setHead(0, 0) }
        guard count > firstHead else { return }
        let first = key(firstHead)
        let shared = first.commonPrefixCount(with: key(count - 1))
        prefixCount = min(shared, Self.prefixCapacity)
        unsafe (base + Self.prefixOffset).copyMemory(from: first.base, byteCount: prefixCount)
        for index in firstHead..<count { setHead(index, key(index).word(at: prefixCount)) }
    }

    /// Moves the slots from `index` to a new node.
    func split(at index: Int) -> TreeNode {
        let right = TreeNode(isLeaf: isLeaf)
        unsafe right.slot(0).copyMemory(from: slot(index), byteCount: (count - index) * Self.slotSize)
        right.count = count - index
        count = index
        rebuildHeads()
        right.rebuildHeads()
        return right
    }

    /// Moves all slots of the next node to the end of this node and frees the next node.
    func merge(_ right: TreeNode) {
        unsafe slot(count).copyMemory(from: right.slot(0), byteCount: right.count * Self.slotSize)
        count += right.count
        right.free()
        rebuildHeads()
    }
}

extension KeyBytes {
    func byte(_ index: Int) -> UInt8 { unsafe base.load(fromByteOffset: index, as: UInt8.self) }
}
