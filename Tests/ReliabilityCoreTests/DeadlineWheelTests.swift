import ReliabilityTesting
import Testing

@testable import ReliabilityCore

/// An entry with a number.
private final class Numbered: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: `number` is set only by the initializer.
    private(set) var number = 0

    convenience init(_ number: Int) {
        self.init()
        self.number = number
    }
}

/// The result of a reading, after all unfinished moves.
private func next(_ wheel: inout DeadlineWheel, at now: Int64) -> DeadlineWheel.Next {
    while true {
        let next = wheel.next(at: now)
        if case .unfinished = next { continue }
        return next
    }
}

private func popAll(_ wheel: inout DeadlineWheel, at now: Int64) -> [Int] {
    var numbers: [Int] = []
    while case .due(let entry) = next(&wheel, at: now) {
        if let entry = entry as? Numbered { numbers.append(entry.number) }
    }
    return numbers
}

/// A sorted list with the behavior of a wheel.
private struct Model {
    var pending: [(instant: Int64, number: Int)] = []

    mutating func popAll(at now: Int64) -> [Int] {
        let due = pending.filter { $0.instant <= now }.sorted { ($0.instant, $0.number) < ($1.instant, $1.number) }
        pending.removeAll { $0.instant <= now }
        return due.map(\.number)
    }
}

@Suite("DeadlineWheel")
struct DeadlineWheelTests {
    static let tick: Int64 = 1 << 16

    @Test("an entry is due from its instant on and not before", arguments: [Int64.min, 0, 12_345, .max])
    func everyInstant(start: Int64) {
        var instants: [Int64] = [.min, .min + 1, -1, 0, 1, .max - 1, .max]
        for bit in 0..<63 {
            for offset: Int64 in -1...1 {
                instants += [(1 << bit) + offset, -(1 << bit) + offset, start.saturatingAdd((1 << bit) + offset)]
            }
        }
        for (number, instant) in instants.enumerated() {
            var wheel = DeadlineWheel(at: start)
            wheel.insert(Numbered(number), at: instant)
            let earliest = wheel.earliest()
            #expect(earliest == instant)
            if instant > .min {
                guard case .later(let wake) = next(&wheel, at: instant - 1) else {
                    Issue.record("\(instant) was early, from \(start)")
                    continue
                }
                #expect(wake == instant, "from \(start)")
            }
            let popped = popAll(&wheel, at: instant)
            #expect(popped == [number], "\(instant) from \(start)")
            let left = wheel.count
            #expect(left == 0)
        }
    }

    @Test("random arming, moving, cancelling and advancing matches a sorted list", arguments: 1...40)
    func randomAgainstModel(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let start = seed.isMultiple(of: 3) ? Int64(bitPattern: random.next()) : 0
        var wheel = DeadlineWheel(at: start)
        var model = Model()
        var entries: [Int: Numbered] = [:]
        var now = start
        /// A random distance of any magnitude.
        func distance() -> Int64 {
            let bits = Int64.random(in: 1..<63, using: &random)
            return Int64.random(in: 0..<(1 << bits), using: &random)
        }
        for step in 0..<4000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                // Sometimes in the past, and often at the instant of another entry.
                var instant = now.saturatingAdd(distance())
                if let other = model.pending.randomElement(using: &random), Bool.random(using: &random) {
                    instant = other.instant
                } else if Int.random(in: 0..<8, using: &random) == 0 {
                    instant = now.saturatingSubtract(distance())
                }
                let entry = Numbered(step)
                entries[step] = entry
                wheel.insert(entry, at: instant)
                model.pending.append((instant, step))
            case 5..<7:
                guard let victim = model.pending.indices.randomElement(using: &random) else { continue }
                let number = model.pending.remove(at: victim).number
                let entry = entries.removeValue(forKey: number)
                guard let entry else { continue }
                let removals = [wheel.remove(entry), wheel.remove(entry)]
                #expect(removals == [true, false], "seed \(seed), step \(step)")
            case 7:
                guard let (instant, number) = model.pending.first, let entry = entries[number] else { continue }
                // Moved away and back, an entry is the last of its instant.
                wheel.insert(entry, at: now.saturatingAdd(distance()))
                wheel.remove(entry)
                model.pending.removeFirst()
                entries[number] = nil
                let again = Numbered(step)
                entries[step] = again
                wheel.insert(again, at: instant)
                model.pending.append((instant, step))
            case 8:
                now = now.saturatingAdd(distance() >> Int64.random(in: 0..<40, using: &random))
                fallthrough
            default:
                // A reading may be earlier than the previous reading.
                let reading = Bool.random(using: &random) ? now : now.saturatingSubtract(distance())
                let expected = model.popAll(at: reading)
                let popped = popAll(&wheel, at: reading)
                #expect(popped == expected, "seed \(seed), step \(step)")
            }
            let count = wheel.count
            #expect(count == model.pending.count, "seed \(seed), step \(step)")
            if step.isMultiple(of: 16) {
                let earliest = model.pending.map(\.instant).min()
                let found = wheel.earliest()
                #expect(found == earliest, "seed \(seed), step \(step)")
                if earliest != .min, case .later(let wake) = next(&wheel, at: .min) {
                    #expect(wake <= earliest ?? .max, "seed \(seed), step \(step)")
                }
            }
        }
        let rest = popAll(&wheel, at: .max)
        #expect(rest == model.popAll(at: .max), "seed \(seed)")
        let count = wheel.count
        #expect(count == 0)
    }

    @Test("overdue entries keep their order when other entries are cancelled", arguments: 1...40)
    func overdue(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var wheel = DeadlineWheel(at: 0)
        var model = Model()
        let entries = (0..<300).map { Numbered($0) }
        for entry in entries {
            let instant = -Int64.random(in: 0..<200, using: &random)
            wheel.insert(entry, at: instant)
            model.pending.append((instant, entry.number))
        }
        for entry in entries where Bool.random(using: &random) {
            wheel.remove(entry)
            model.pending.removeAll { $0.number == entry.number }
        }
        let order = popAll(&wheel, at: 0)
        #expect(order == model.popAll(at: 0), "seed \(seed)")
    }

    @Test("a moved entry runs at its new instant only, after the earlier entries of the instant")
    func moved() {
        var wheel = DeadlineWheel(at: 0)
        let entries = (0..<4).map { Numbered($0) }
        for entry in entries { wheel.insert(entry, at: 5 * Self.tick) }
        wheel.insert(entries[0], at: 9 * Self.tick)
        wheel.insert(entries[1], at: 5 * Self.tick)
        let count = wheel.count
        #expect(count == 4)
        let atFive = popAll(&wheel, at: 5 * Self.tick)
        #expect(atFive == [2, 3, 1])
        let atNine = popAll(&wheel, at: 9 * Self.tick)
        #expect(atNine == [0])
        // An entry that has run can be armed again.
        wheel.insert(entries[0], at: 10 * Self.tick)
        let atTen = popAll(&wheel, at: 10 * Self.tick)
        #expect(atTen == [0])
    }

    @Test("the earliest instant is known during an unfinished move")
    func earliestMeanwhile() {
        var wheel = DeadlineWheel(at: 0)
        let instant = 64 * 64 * Self.tick
        // The entry that was armed last is moved first, to its own slot.
        for number in 0..<1000 { wheel.insert(Numbered(number), at: instant + Int64(2000 - number) * Self.tick) }
        guard case .unfinished = wheel.next(at: instant) else {
            Issue.record("a thousand entries were moved at once")
            return
        }
        let earliest = wheel.earliest()
        #expect(earliest == instant + 1001 * Self.tick)
    }

    @Test("entries armed or cancelled during an unfinished move are not lost")
    func unfinished() {
        var wheel = DeadlineWheel(at: 0)
        let instant = 100_000 * Self.tick
        let entries = (0..<2000).map { Numbered($0) }
        for entry in entries { wheel.insert(entry, at: instant + Int64(entry.number % 3)) }
        guard case .unfinished = wheel.next(at: instant + 3) else {
            Issue.record("two thousand entries were moved at once")
            return
        }
        let earliest = wheel.earliest()
        #expect(earliest == instant)
        for number in stride(from: 0, to: 2000, by: 2) { wheel.remove(entries[number]) }
        for number in 2000..<2010 { wheel.insert(Numbered(number), at: instant + Int64(number % 3)) }
        let expected = ((0..<2000).filter { !$0.isMultiple(of: 2) } + Array(2000..<2010))
            .sorted { ($0 % 3, $0) < ($1 % 3, $1) }
        let order = popAll(&wheel, at: instant + 3)
        #expect(order == expected)
    }

    @Test("a released wheel releases all pending entries")
    func freesAtTheEnd() {
        weak var freed: Numbered?
        do {
            var wheel = DeadlineWheel(at: 0)
            for number in 0..<300_000 {
                let entry = Numbered(number)
                if number == 150_000 { freed = entry }
                wheel.insert(entry, at: number.isMultiple(of: 1000) ? 0 : 1 << 40)
            }
            #expect(freed != nil)
        }
        #expect(freed == nil)
    }

    @Test("a removed entry is released immediately")
    func freesAtOnce() {
        var wheel = DeadlineWheel(at: 0)
        for instant in [-1, 0, 1, Self.tick, Int64.max] {
            weak var freed: Numbered?
            do {
                let entry = Numbered(0)
                freed = entry
                wheel.insert(Numbered(1), at: instant)
                wheel.insert(entry, at: instant)
                wheel.insert(Numbered(2), at: instant)
                wheel.remove(entry)
            }
            #expect(freed == nil)
        }
        let left = wheel.count
        #expect(left == 10)
    }

    @Test("only the clock reading decides which entries are due")
    func readingsOnly() {
        // The same readings and entries, relative to three origins, must give the same order.
        let runs = [Int64.min, 0, .max - 1_000_000_000_000].map { origin -> [Int] in
            var random = SeededGenerator(seed: 16)
            var wheel = DeadlineWheel(at: origin)
            var order: [Int] = []
            for number in 0..<3000 {
                wheel.insert(Numbered(number), at: origin + Int64.random(in: 0..<1_000_000_000_000, using: &random))
                if number.isMultiple(of: 10) {
                    order += popAll(&wheel, at: origin + Int64(number) * 300_000_000)
                    order.append(-1)
                }
            }
            return order
        }
        #expect(runs[0] == runs[1])
        #expect(runs[1] == runs[2])
    }

    @Test("equal and earlier readings return the instant of the next reading")
    func stalled() {
        var wheel = DeadlineWheel(at: 1000 * Self.tick)
        wheel.insert(Numbered(1), at: 2000 * Self.tick)
        for reading in [1500 * Self.tick, 1500 * Self.tick, 3, .min, -1, 1999 * Self.tick, 0, 2000 * Self.tick - 1] {
            guard case .later(let wake) = next(&wheel, at: reading) else {
                Issue.record("due at \(reading)")
                continue
            }
            // An earlier instant would cause a busy loop.
            #expect(wake > reading)
        }
        // An entry armed behind the cursor is not lost.
        wheel.insert(Numbered(2), at: 5)
        let early = popAll(&wheel, at: 4)
        #expect(early == [])
        let overdue = popAll(&wheel, at: 5)
        #expect(overdue == [2])
        let last = popAll(&wheel, at: 2000 * Self.tick)
        #expect(last == [1])
    }

    @Test("a jump to the far future moves each entry a few times only")
    func farFuture() {
        var wheel = DeadlineWheel(at: .min)
        for number in 0..<100 { wheel.insert(Numbered(number), at: .max - 100 + Int64(number)) }
        var calls = 0
        while case .unfinished = wheel.next(at: .max - 200) { calls += 1 }
        // 100 entries, eight levels at most, 256 moves a call.
        #expect(calls <= 4)
        let half = popAll(&wheel, at: .max - 51)
        #expect(half == Array(0..<50))
        let rest = popAll(&wheel, at: .max)
        #expect(rest == Array(50..<100))
        guard case .later(.max) = wheel.next(at: .max) else {
            Issue.record("an empty wheel has something due")
            return
        }
    }
}
