import ReliabilityCore
import ReliabilityTesting
import Testing

@testable import ReliabilityStore

@Suite("ItemHeap")
struct ItemHeapTests {
    @Test("the smallest items come first and a read changes nothing", arguments: 0..<10 as Range<UInt64>)
    func order(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = ItemHeap()
        var items: [Item] = []
        func sorted() -> [Item] { items.sorted { ($0.time, $0.version) < ($1.time, $1.version) } }
        for step in 0..<1500 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<4:
                let time = Int64.random(in: 0..<50, using: &random)
                let item = [].withKeyBytes { Item(key: $0, value: [], version: UInt64(step), time: time) }
                heap.insert(item)
                items.append(item)
            case 4..<6:
                guard let index = items.indices.randomElement(using: &random) else { continue }
                heap.remove(items[index])
                #expect(items[index].heapIndex == nil)
                items.remove(at: index).free()
            default:
                guard let item = items.randomElement(using: &random) else { continue }
                item.time = .random(in: 0..<50, using: &random)
                heap.update(item)
            }
            #expect(heap.count == items.count)
            #expect(heap.first == sorted().first, "seed \(seed), step \(step)")
            if step % 20 == 0 {
                let due = sorted().filter { $0.time <= 25 }.prefix(9)
                #expect(heap.smallest(9, upTo: 25) == Array(due), "seed \(seed), step \(step)")
            }
        }
        for item in items {
            heap.remove(item)
            item.free()
        }
        #expect(heap.count == 0)
    }
}
