internal import Synchronization

/// A B+tree of items in the order of the bytes of their keys.
///
/// The tree owns its items. A change splits, merges or moves at most one node on each level. No operation moves more
/// slots than a path has. A hash table would stop for every growth, and its worst case could be forced by an attacker.
@safe struct ItemTree: ~Copyable, @unchecked Sendable {
    // @unchecked Sendable: the tree is the only owner of its nodes and items, and cannot be copied.

    /// The place of a key: the slot with its item, or the slot at which its item would be inserted.
    ///
    /// A place is valid until the next change of the tree.
    struct Place {
        let leaf: TreeNode
        let index: Int
        let item: Item?
    }

    /// A position in the order of the keys, valid until the next change of the tree.
    struct Cursor {
        fileprivate var leaf: TreeNode
        fileprivate var index: Int

        /// The item at the position, or `nil` at the end of the tree.
        var item: Item? { index < leaf.count ? leaf.item(index) : nil }
    }

    private var root = TreeNode(isLeaf: true)
    private(set) var count = 0
    /// The number of nodes visited and slots moved, for the tests of growth.
    var steps: Int { stepCount.load(ordering: .relaxed) }

    private let stepCount = Atomic<Int>(0)

    deinit { Self.free(root) }

    private static func free(_ node: TreeNode) {
        for index in 0..<node.count {
            if node.isLeaf { node.item(index).free() } else { free(node.child(index)) }
        }
        node.free()
    }

    /// Adds to the number of steps without a read-modify-write instruction, because changes have one owner.
    private func addSteps(_ number: Int) {
        stepCount.store(stepCount.load(ordering: .relaxed) &+ number, ordering: .relaxed)
    }

    // MARK: Reading

    /// Finds the place of a key.
    func place(of key: KeyBytes) -> Place {
        var node = root
        var visited = 1
        while !node.isLeaf {
            node = node.child(node.childIndex(of: key))
            visited += 1
        }
        addSteps(visited)
        let index = node.rank(of: key, afterEqual: false)
        guard index < node.count else { return Place(leaf: node, index: index, item: nil) }
        let item = node.item(index)
        let isEqual = item.keyCount == key.count && item.key.compare(key) == 0
        return Place(leaf: node, index: index, item: isEqual ? item : nil)
    }

    /// Returns the position of the first item at or after a key.
    ///
    /// - Parameters:
    ///   - key: The key.
    ///   - afterEqual: `true` if an item with the key itself is skipped.
    /// - Returns: The position.
    func cursor(from key: KeyBytes, afterEqual: Bool = false) -> Cursor {
        var node = root
        var next: TreeNode?
        var visited = 1
        while !node.isLeaf {
            let index = node.childIndex(of: key)
            if index + 1 < node.count { next = node.child(index + 1) }
            node = node.child(index)
            visited += 1
        }
        var index = node.rank(of: key, afterEqual: afterEqual)
        if index == node.count, var first = next {
            while !first.isLeaf {
                first = first.child(0)
                visited += 1
            }
            node = first
            index = 0
        }
        addSteps(visited)
        return Cursor(leaf: node, index: index)
    }

    /// Moves a position to the next item.
    func advance(_ cursor: inout Cursor) {
        cursor.index += 1
        guard cursor.index == cursor.leaf.count else { return }
        // A leaf has no reference to the next leaf. A search after its last key finds the next leaf.
        cursor = self.cursor(from: cursor.leaf.item(cursor.index - 1).key, afterEqual: true)
    }

    // MARK: Changing

    /// Inserts an item at the place of its key, which must have no item.
    mutating func insert(_ item: Item, at place: Place) {
        count += 1
        if !place.leaf.isFull {
            addSteps(1 + (place.leaf.count - place.index) / 8)
            place.leaf.insert(item, at: place.index)
            return
        }
        guard let right = insert(item, below: root) else { return }
        let newRoot = TreeNode(isLeaf: false)
        newRoot.insert(root, at: 0)
        newRoot.insert(right, at: 1)
        root = newRoot
    }

    /// Inserts an item below a node, whose leaf for the item is full.
    ///
    /// - Returns: The new right half of the node if the node was split.
    private func insert(_ item: Item, below node: TreeNode) -> TreeNode? {
        addSteps(TreeNode.capacity)
        if node.isLeaf { return split(node, inserting: item) }
        let index = node.childIndex(of: item.key)
        let child = node.child(index)
        // A neighbor with room takes the item at an edge. Otherwise, falling keys would leave one item in each leaf.
        if child.isLeaf, child.rank(of: item.key, afterEqual: false) == child.count, index + 1 < node.count,
            !node.child(index + 1).isFull
        {
            node.child(index + 1).insert(item, at: 0)
            node.refreshHead(index + 1)
            return nil
        }
        guard let right = insert(item, below: child) else { return nil }
        let position = index + 1
        if !node.isFull {
            node.insert(right, at: position)
            return nil
        }
        let middle = position == node.count ? node.count - 1 : node.count / 2
        let other = node.split(at: middle)
        if position <= middle { node.insert(right, at: position) } else { other.insert(right, at: position - middle) }
        return other
    }

    /// Splits a full leaf and inserts an item into one of the two leaves.
    private func split(_ leaf: TreeNode, inserting item: Item) -> TreeNode {
        let index = leaf.rank(of: item.key, afterEqual: false)
        // Rising or falling keys fill leaves completely, so the full leaf stays full.
        let middle = index == leaf.count || index == 0 ? index : leaf.count / 2
        let right = leaf.split(at: middle)
        if index <= middle, !leaf.isFull {
            leaf.insert(item, at: index)
        } else {
            right.insert(item, at: index - middle)
        }
        return right
    }

    /// Replaces the item at a place with an item of the same key.
    func replace(at place: Place, with item: Item) { place.leaf.replace(place.index, with: item) }

    /// Removes the item at a place from the tree and does not free the item.
    mutating func remove(at place: Place) {
        guard let item = place.item else { return }
        count -= 1
        if place.leaf.count > TreeNode.capacity / 2 || place.leaf == root {
            addSteps(1 + (place.leaf.count - place.index) / 8)
            place.leaf.remove(at: place.index)
            return
        }
        remove(item.key, below: root)
        while !root.isLeaf, root.count <= 1 {
            let old = root
            root = old.count == 1 ? old.child(0) : TreeNode(isLeaf: true)
            old.free()
        }
    }

    private func remove(_ key: KeyBytes, below node: TreeNode) {
        addSteps(TreeNode.capacity)
        let index = node.childIndex(of: key)
        let child = node.child(index)
        if child.isLeaf {
            child.remove(at: child.rank(of: key, afterEqual: false))
        } else {
            remove(key, below: child)
        }
        if child.count == 0 {
            node.remove(at: index)
            child.free()
        } else if child.count <= TreeNode.capacity / 2 {
            for left in [index, index - 1] where left >= 0 && left + 1 < node.count {
                let right = node.child(left + 1)
                guard node.child(left).count + right.count <= TreeNode.mergeLimit else { continue }
                node.child(left).merge(right)
                node.remove(at: left + 1)
                return
            }
        }
    }
}
