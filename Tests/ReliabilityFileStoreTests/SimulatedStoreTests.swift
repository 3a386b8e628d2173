import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation
import Testing

@Suite("SimulatedStore")
struct SimulatedStoreTests {
    @Test("a seed determines the calls")
    func deterministic() throws {
        func calls() throws -> [SimulatedFileSystem.Call] {
            let files = SimulatedFileSystem(seed: 5)
            files.recordsCalls = true
            let store = try SimulatedStore(files, unixTime: CrashExplorer.beginning, tuning: LogTuning(growth: 1024))
            for number in 0..<5 { _ = store.call(.commit([.put(key("a"), [UInt8(number)], .never, if: .any)], [])) }
            store.close()
            return files.calls
        }
        #expect(try calls() == calls())
    }

    @Test("an opening, a write and a close make the expected calls")
    func calls() throws {
        let files = SimulatedFileSystem()
        files.recordsCalls = true
        let store = try SimulatedStore(files, unixTime: CrashExplorer.beginning, tuning: LogTuning(growth: 4096))
        _ = store.call(.commit([.put(key("a"), [1], .never, if: .any)], []))
        store.close()
        let changes = files.calls.filter { call in
            switch call.kind {
            case .create, .openOrCreate, .write, .sync, .unlink, .syncDirectory: true
            default: false
            }
        }
        let log = "log-0000000000000001"
        let expected: [SimulatedFileSystem.Call] = [
            .init(kind: .openOrCreate, name: "LOCK"),
            .init(kind: .write, name: "LOCK", count: 16),
            .init(kind: .write, name: "LOCK", offset: 16, count: 10),
            .init(kind: .sync, name: "LOCK"),
            .init(kind: .syncDirectory, name: ""),
            .init(kind: .create, name: log),
            .init(kind: .write, name: log, offset: 512, count: 512),
            .init(kind: .write, name: log, offset: 1024, count: 7680),
            .init(kind: .sync, name: log),
            .init(kind: .write, name: log, count: 512),
            .init(kind: .sync, name: log),
            .init(kind: .syncDirectory, name: ""),
            .init(kind: .write, name: "LOCK", offset: 16, count: 44),
            .init(kind: .sync, name: "LOCK"),
            .init(kind: .write, name: log, offset: 1024, count: 512),
            .init(kind: .sync, name: log),
            .init(kind: .write, name: log, offset: 1536, count: 512),
            .init(kind: .sync, name: log),
        ]
        #expect(changes == expected)
        #expect(files.openCount == 0)
    }

    @Test("an answer is given after its batch is durable")
    func durableAnswers() throws {
        let store = try SimulatedStore(SimulatedFileSystem(), unixTime: CrashExplorer.beginning, tuning: small)
        let write = store.submit(.commit([.put(key("a"), [1], .never, if: .any)], []))
        let read = store.submit(.get([key("a")]))
        #expect(store.answer(to: write) == nil)
        #expect(store.answer(to: read) == nil)
        store.beginStep()
        #expect(store.answer(to: read) == nil)
        store.finishStep()
        #expect(store.answer(to: write) == write.answer)
        #expect(store.answer(to: read) == read.answer)
    }

    @Test("the absence of an entry that expired before its batch is durable waits for the batch")
    func expiredBeforeFlush() throws {
        let tuning = LogTuning(growth: 512)
        let store = try SimulatedStore(SimulatedFileSystem(), unixTime: CrashExplorer.beginning, tuning: tuning)
        func put(_ expiry: Expiry) -> WorkloadOperation { .commit([.put(key("a"), [1], expiry, if: .any)], []) }
        var rolls = 0
        for _ in 0..<20 {
            _ = store.call(put(.never))
            store.settle()
            _ = store.submit(put(.after(.milliseconds(1))))
            store.advance(by: 5_000_000)
            _ = store.submit(.get([key("b")]))
            let name = store.logName
            store.beginLogStep()
            store.finishLogStep()
            if store.logName == name { continue }
            // The roll frame has a time at which the entry has expired, and the entry is in the open batch.
            rolls += 1
            let read = store.submit(.get([key("a")]))
            #expect(read.answer == .entries([nil]))
            #expect(store.answer(to: read) == nil)
            store.settle()
            #expect(store.answer(to: read) == read.answer)
        }
        #expect(rolls > 0)
    }

    @Test("data that had no space is not damage after a crash")
    func fullDiskCrash() throws {
        let environment = CrashEnvironment(
            tuning: LogTuning(growth: 4096),
            probes: [.scan(prefix: StoreKey("test"), after: nil, limit: 9)]
        )
        func put(_ count: Int) -> WorkloadOperation {
            .commit([.put(key("a"), [UInt8](repeating: 1, count: count), .never, if: .any)], [])
        }
        let run = try CrashRun(environment, seed: 1, unixTime: CrashExplorer.beginning)
        run.limitSpace(to: 1000)
        run.mark()
        try run.call(put(6000))
        #expect(run.model.content(now: run.now).entries.isEmpty)
        try run.call(put(900))
        try run.reopen(unixTime: run.now)
        for point in run.points {
            let choices = (0..<2).flatMap { point.disk.crashChoices(randomSubsets: 0, seed: $0) }
            for choice in choices where !choice.mayBeRejected {
                _ = try CrashRun(
                    environment,
                    SimulatedFileSystem(point.disk.crashed(choice)),
                    point.oracle,
                    unixTime: run.now,
                    keepsPoints: false,
                    checksTail: choice.isPossible
                )
            }
        }
    }
}
