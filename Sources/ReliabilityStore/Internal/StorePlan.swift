/// The result of an operation and the mutations that the result describes.
package struct StorePlan<Result: Sendable>: Sendable {
    package var result: Result
    package var mutations: [StoreMutation]

    package init(result: Result, mutations: [StoreMutation]) {
        self.result = result
        self.mutations = mutations
    }
}
