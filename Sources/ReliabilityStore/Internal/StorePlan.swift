/// The result of an operation and the mutations that the result describes.
package struct StorePlan<Result: Sendable>: Sendable {
    package var result: Result
    package var mutations: [StoreMutation]

    package init(result: Result, mutations: [StoreMutation]) {
        self.result = result
        self.mutations = mutations
    }
}

/// The result and the change of a single write or update, valid until the next change of the state machine.
package struct EntryPlan<Result: Sendable> {
    package let result: Result
    /// The change, or `nil` if nothing changes.
    package let change: EntryChange?
}

/// A planned change of one entry.
package struct EntryChange {
    package let mutation: StoreMutation
    let place: ItemTree.Place
}
