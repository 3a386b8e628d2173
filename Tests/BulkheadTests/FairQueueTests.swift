import ReliabilityTesting
import Testing

@testable import Bulkhead

@Suite("FairQueue")
struct FairQueueTests {
    @Test("the elements of a tenant leave in the order of their arrival")
    func firstInFirstOut() {
        var queue = FairQueue<Int>()
        for element in 1...3 { _ = queue.append(element, of: nil, at: Int64(element), deadline: .max) }
        #expect((1...4).map { _ in queue.next(takesNewest: false)?.element } == [1, 2, 3, nil])
        #expect(queue.isEmpty)
    }

    @Test("the tenants leave in turn, however many elements a tenant has")
    func inTurn() {
        var queue = FairQueue<String>()
        for number in 1...4 { _ = queue.append("a\(number)", of: "a", at: 0, deadline: .max) }
        _ = queue.append("b1", of: "b", at: 0, deadline: .max)
        _ = queue.append("c1", of: "c", at: 0, deadline: .max)
        let order = (1...6).compactMap { _ in queue.next(takesNewest: false)?.element }
        #expect(order == ["a1", "b1", "c1", "a2", "a3", "a4"])
    }

    @Test("the newest element of the tenant with the most elements loses its place")
    func newestOfLongest() {
        var queue = FairQueue<String>()
        for number in 1...3 { _ = queue.append("a\(number)", of: "a", at: 0, deadline: .max) }
        for number in 1...2 { _ = queue.append("b\(number)", of: "b", at: 0, deadline: .max) }
        #expect(queue.longest == 3)
        #expect(queue.removeNewestOfLongest()?.element == "a3")
        #expect(queue.longest == 2)
        #expect(queue.count(of: "a") == 2)
    }

    @Test("a ticket of an element that has left removes no other element")
    func oldTicket() {
        var queue = FairQueue<Int>()
        let old = queue.append(1, of: nil, at: 0, deadline: .max)
        #expect(queue.remove(old)?.element == 1)
        _ = queue.append(2, of: nil, at: 0, deadline: .max)
        #expect(queue.remove(old) == nil)
        #expect(queue.count == 1)
    }

    /// A queue of plain arrays with the same promises.
    private struct Model {
        var lines: [(tenant: String?, elements: [Int])] = []
        var count: Int { lines.reduce(0) { $0 + $1.elements.count } }

        mutating func append(_ element: Int, of tenant: String?) {
            if let line = lines.firstIndex(where: { $0.tenant == tenant }) {
                lines[line].elements.append(element)
            } else {
                lines.append((tenant, [element]))
            }
        }

        mutating func next(takesNewest: Bool) -> Int? {
            if lines.isEmpty { return nil }
            var line = lines.removeFirst()
            let element = takesNewest ? line.elements.removeLast() : line.elements.removeFirst()
            if !line.elements.isEmpty { lines.append(line) }
            return element
        }

        mutating func remove(_ element: Int) -> Bool {
            guard let line = lines.firstIndex(where: { $0.elements.contains(element) }) else { return false }
            lines[line].elements.removeAll { $0 == element }
            if lines[line].elements.isEmpty { lines.remove(at: line) }
            return true
        }
    }

    @Test("random operations have the results of a queue of plain arrays", arguments: 0..<50)
    func model(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var (queue, model) = (FairQueue<Int>(), Model())
        var tickets: [Int: FairQueue<Int>.Ticket] = [:]
        for element in 0..<2000 {
            switch Int.random(in: 0..<9, using: &random) {
            case 0..<4:
                let tenant = ["a", "b", "c", "d", nil].randomElement(using: &random) ?? nil
                tickets[element] = queue.append(element, of: tenant, at: Int64(element), deadline: .max)
                model.append(element, of: tenant)
            case 4, 5:
                let takesNewest = Bool.random(using: &random)
                #expect(queue.next(takesNewest: takesNewest)?.element == model.next(takesNewest: takesNewest))
            case 6:
                let elements = model.lines.first.map(\.elements) ?? []
                let limit = Int.random(in: 0...element, using: &random)
                let oldest = queue.removeOldest(addedBefore: Int64(limit))?.element
                #expect(oldest == (elements.count > 1 && elements[0] < limit ? elements[0] : nil))
                if let oldest { _ = model.remove(oldest) }
            case 7:
                let removed = queue.removeNewestOfLongest()?.element
                let longest = model.lines.map(\.elements.count).max()
                #expect((removed == nil) == (longest == nil))
                if let removed {
                    let line = model.lines.first { $0.elements.contains(removed) }
                    #expect(line?.elements.count == longest)
                    #expect(line?.elements.last == removed)
                    _ = model.remove(removed)
                }
            default:
                guard let (element, ticket) = tickets.sorted(by: { $0.key < $1.key }).randomElement(using: &random)
                else { continue }
                #expect((queue.remove(ticket)?.element == element) == model.remove(element))
                tickets[element] = nil
            }
            #expect(queue.count == model.count)
            #expect(queue.longest == model.lines.map(\.elements.count).max() ?? 0)
        }
    }
}
