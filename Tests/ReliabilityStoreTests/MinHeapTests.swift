import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("MinHeap")
struct MinHeapTests {
    @Test("elements come out in order, also after a compaction", arguments: 0..<10 as Range<UInt64>)
    func order(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = MinHeap<Int>()
        var model: [Int] = []
        for _ in 0..<2000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let number = Int.random(in: 0..<500, using: &random)
                heap.insert(number)
                model.append(number)
            case 6..<9:
                #expect(heap.first == model.min())
                #expect(heap.removeFirst() == model.min())
                if let least = model.min().flatMap(model.firstIndex) { model.remove(at: least) }
            default:
                let divisor = Int.random(in: 20..<60, using: &random)
                heap.compact { $0.isMultiple(of: divisor) }
                model.removeAll { $0.isMultiple(of: divisor) }
            }
            #expect(heap.count == model.count)
        }
        var rest: [Int] = []
        while let least = heap.removeFirst() { rest.append(least) }
        #expect(rest == model.sorted())
    }
}
