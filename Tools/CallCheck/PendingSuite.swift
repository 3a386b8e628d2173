import ReliabilityCore
import ReliabilityTesting

private let count = 1_000_000
private let rounds = 7

/// Arms and cancels with a million deadlines pending.
@Sendable
func pendingSuite() async {
    let scheduler = DeadlineScheduler.shared
    var random = SeededGenerator(seed: 1)
    var empty = Measurement()
    var memory = Measurement()
    let counter = ConcurrencyCounter()

    func arm(_ instants: [Int64], _ figures: inout Measurement) -> [TimerEntry] {
        var entries: [TimerEntry] = []
        entries.reserveCapacity(instants.count)
        figures.time(instants.count) {
            for instant in instants { entries.append(scheduler.schedule(at: instant) { counter.increment() }) }
        }
        return entries
    }
    // The entries are freed in the same time.
    func cancel(_ entries: inout [TimerEntry], _ figures: inout Measurement) {
        figures.time(entries.count) { while let entry = entries.popLast() { scheduler.cancel(entry) } }
    }

    for (name, isRandom) in [("a later one each time", false), ("at random within an hour", true)] {
        var (arming, inOrder, shuffled, further) = (Measurement(), Measurement(), Measurement(), Measurement())
        for round in 0..<2 * rounds {
            let start = TimeSource.continuous.instant(after: .seconds(60))
            let instants = (0..<Int64(count)).map { number in
                start + (isRandom ? Int64.random(in: 0..<3_600_000_000_000, using: &random) : number * 30_000)
            }
            let before = processStatus("VmRSS")
            var entries = arm(instants, &arming)
            if round == 0, !isRandom, let before, let after = processStatus("VmRSS") {
                // The list of them is this check's own.
                memory.keep(Double(after - before) * 1024 / Double(count) - 8)
            }
            further.time(100_000) {
                for _ in 0..<100_000 { scheduler.cancel(scheduler.schedule(at: start) { counter.increment() }) }
            }
            if round.isMultiple(of: 2) {
                entries.reverse()
                cancel(&entries, &inOrder)
            } else {
                entries.shuffle(using: &random)
                cancel(&entries, &shuffled)
            }
        }
        print(arming.line("arm, \(name)", "ns"))
        print(inOrder.line("cancel, in the order of arming", "ns"))
        print(shuffled.line("cancel, in random order", "ns"))
        print(further.line("arm and cancel one more", "ns"))
    }
    for _ in 0..<rounds {
        let start = TimeSource.continuous.instant(after: .seconds(60))
        empty.time(count) {
            for _ in 0..<count { scheduler.cancel(scheduler.schedule(at: start) { counter.increment() }) }
        }
    }
    print(empty.line("arm and cancel, with no other pending", "ns"))
    print(randomRead(&random).line("for comparison: one dependent random read", "ns"))
    print(memory.line("memory of a pending entry and its action", "bytes"))
    if let threads = processStatus("Threads") { print("threads of the process: \(threads)") }
    print("pending at the end: \(scheduler.pendingCount); actions run: \(counter.value)")
}

/// Reads all over as much memory as the entries take, each time at the place that the last reading says.
///
/// To cancel in random order is to read an entry and its two neighbours, and hardly anything else.
private func randomRead(_ random: inout SeededGenerator) -> Measurement {
    let stride = 10
    let places = (0..<count).shuffled(using: &random)
    var memory = [Int](repeating: 0, count: count * stride)
    for (index, place) in places.enumerated() { memory[place * stride] = places[(index + 1) % count] }
    var figures = Measurement()
    var place = 0
    for _ in 0..<rounds {
        figures.time(count) { for _ in 0..<count { place = memory[place * stride] } }
    }
    precondition(place == 0, "the places are one cycle")
    return figures
}
