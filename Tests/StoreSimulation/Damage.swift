internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// Something that happened to a store's files behind its back.
package enum Damage: Hashable, Sendable {
    case nothing
    case flip(String, bit: Int)
    case zero(sector: Int)
    case garbage(sector: Int, seed: UInt64)
    /// A sector's content is written over another's.
    case copy(from: Int, to: Int)
    case swap(Int, Int)
    /// Sectors of another store's log, from the same place there.
    case stranger(from: Int, to: Int)
    /// The file header says that this is another format.
    case format(UInt32)
    case cut(String, length: Int)
    case remove(String)
    /// Bytes that follow from a seed instead of the file.
    case replace(String, count: Int, seed: UInt64)

    /// Every damage to an image but for flipped bits.
    package static func all(to image: StoreImage) -> [Damage] {
        let sectors = 0..<image.log.count / 512
        var all: [Damage] = [.nothing, .remove("log"), .remove("LOCK")]
        all += sectors.flatMap { [.zero(sector: $0), .garbage(sector: $0, seed: UInt64($0))] }
        for first in sectors {
            for second in sectors where first != second {
                all.append(.copy(from: first, to: second))
                if first < second { all.append(.swap(first, second)) }
            }
        }
        // Not from the first sector on: that would be the other store.
        let last = min(sectors.count, image.stranger.count / 512)
        for first in 1..<last { all += (first + 1...last).map { .stranger(from: first, to: $0) } }
        all += [0, 2, 1000, .max].map { .format($0) }
        for sector in sectors {
            all += [0, 1, 63, 64, 511].map { .cut("log", length: 512 * sector + $0) }
        }
        let lock = image.files["LOCK"]?.count ?? 0
        all += (0..<lock).map { .cut("LOCK", length: $0) }
        all += (0..<lock * 8).map { .flip("LOCK", bit: $0) }
        for count in [0, 1, 26, 512, 1024, 5000] {
            all += ["log", "LOCK", "log.tmp"].map { .replace($0, count: count, seed: UInt64(count)) }
        }
        return all
    }

    /// The files after it.
    package func applied(to image: StoreImage) -> [String: [UInt8]] {
        var files = image.files
        var log = files["log"] ?? []
        func range(_ sector: Int) -> Range<Int> { 512 * sector..<512 * sector + 512 }
        switch self {
        case .nothing: break
        case .flip(let file, let bit):
            if file == "log" { log[bit / 8] ^= 1 << UInt8(bit % 8) }
            if file != "log" { files[file]?[bit / 8] ^= 1 << UInt8(bit % 8) }
        case .zero(let sector): log.replaceSubrange(range(sector), with: repeatElement(0, count: 512))
        case .garbage(let sector, let seed): log.replaceSubrange(range(sector), with: Self.bytes(512, seed))
        case .copy(let from, let to): log.replaceSubrange(range(to), with: log[range(from)])
        case .swap(let first, let second):
            let held = Array(log[range(first)])
            log.replaceSubrange(range(first), with: log[range(second)])
            log.replaceSubrange(range(second), with: held)
        case .stranger(let start, let end):
            log.replaceSubrange(512 * start..<512 * end, with: image.stranger[512 * start..<512 * end])
        case .format(let version):
            log.set(version, at: 12)
            log.set(FileHeader.checksum(Array(log.prefix(512))), at: 8)
        case .cut(let file, let length):
            if file == "log" { log.removeLast(log.count - length) }
            if file != "log" { files[file] = Array(files[file, default: []].prefix(length)) }
        case .remove(let file):
            files[file] = nil
            if file == "log" { return files }
        case .replace(let file, let count, let seed):
            if file == "log" { log = Self.bytes(count, seed) } else { files[file] = Self.bytes(count, seed) }
        }
        files["log"] = log
        return files
    }

    private static func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        let source = SimulatedFileSystem(seed: seed &* 7919 &+ 1)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: source.randomNumber()) }
    }
}

extension StoreImage {
    /// What an opening made of damaged files.
    package enum Outcome: Hashable, Sendable {
        /// It refused them.
        case refused
        /// It opened them, and everything was there.
        case whole
        /// It opened them without the last frame, as is documented for a store that was not closed.
        case withoutLastFrame
    }

    /// Opens the damaged files, and judges what the store made of them.
    ///
    /// - Parameter damage: The damage.
    /// - Returns: What became of the opening.
    /// - Throws: ``Violation``.
    package func outcome(of damage: Damage) throws(Violation) -> Outcome {
        let damaged = damage.applied(to: self)
        // Neither of the two processes that made the image.
        let fileSystem = SimulatedFileSystem().restarted().restarted(with: SimulatedDisk(damaged))
        fileSystem.recordsCalls = true
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: Self.later, tuning: Self.tuning)
        } catch {
            try check(fileSystem)
            return try judge(refusal: error, damage, damaged, fileSystem)
        }
        if case .format = damage, damaged["log"] != files["log"] { throw Violation("opened another format") }
        if isClosed, damaged["log"] != files["log"], !hasLostSeal(damaged["log"] ?? []) {
            throw Violation("opened a log that was closed, and changed since")
        }
        let recovery = store.recovery
        let found = try holding(of: fileSystem, store.capabilities)
        store.close()
        try check(fileSystem)
        try judgeSecondOpening(fileSystem.restarted(), found)
        if found == holding {
            if recovery.wasClosed != isClosed, recovery.wasClosed || damaged["log"] == files["log"] {
                throw Violation("the report says wasClosed: \(recovery.wasClosed)")
            }
            if recovery.droppedTailBytes > 0, recovery.wasClosed || damaged["log"] == files["log"] {
                throw Violation("\(recovery.droppedTailBytes) bytes were dropped where none were cut off")
            }
            return .whole
        }
        guard found == holdingBefore else { throw Violation("opened with wrong content: \(found)") }
        guard !isClosed, looksCutOff(damaged["log"] ?? []) else {
            throw Violation("opened without the last frame, which was not cut off")
        }
        if recovery.droppedTailBytes == 0, damaged["log"]?[lastFrame].contains(where: { $0 != 0 }) != false {
            throw Violation("what was dropped was not reported")
        }
        return .withoutLastFrame
    }

    private func judge(
        refusal: StoreError,
        _ damage: Damage,
        _ damaged: [String: [UInt8]],
        _ fileSystem: SimulatedFileSystem
    ) throws(Violation) -> Outcome {
        if damaged["log"] == files["log"] { throw Violation("refused a log that is right: \(refusal)") }
        switch (refusal.reason, damage) {
        case (.unsupportedFormat(let version), .format(let written)) where version == Int(written): break
        case (.corruption("log", let offset), _) where offset >= 0:
            if case .format = damage { throw Violation("took another format for damage") }
            guard let there = damaged["log"] else { break }
            if let place = lastDifference(there), offset > place {
                throw Violation("reported offset \(offset); the last byte that is wrong is at \(place)")
            }
            if isLeftByCrash(there) { throw Violation("took what a crash leaves for damage: \(refusal)") }
        default: throw Violation("refused with \(refusal)")
        }
        for name in ["log", "LOCK"] where damaged[name] != nil && fileSystem.disk.bytes(of: name) != damaged[name] {
            throw Violation("the refused opening changed \(name)")
        }
        if fileSystem.openCount > 0 { throw Violation("the refused opening left files open") }
        return .refused
    }

    /// What is in the log of a store that was just opened.
    private func holding(
        of fileSystem: SimulatedFileSystem,
        _ capabilities: StoreCapabilities
    ) throws(Violation) -> Holding {
        let mutations: [StoreMutation]
        let moment: LogMoment
        do throws(LogReader.Failure) {
            let (all, contents) = try readLog(fileSystem.disk.bytes(of: "log") ?? [])
            (mutations, moment) = (all, contents.moment)
        } catch {
            throw Violation("the new log is not right: \(error)")
        }
        guard let openedAt = capabilities.openedAt,
            moment == LogMoment(clock: Self.later, nextVersion: openedAt.rawValue)
        else { throw Violation("the new log has the moment \(moment)") }
        return Holding(content: StoreContent(snapshot: mutations, now: Self.later), openedAt: openedAt)
    }

    /// An opening leaves a store that was closed, whatever it made of the files before.
    private func judgeSecondOpening(_ fileSystem: SimulatedFileSystem, _ found: Holding) throws(Violation) {
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: Self.later, tuning: Self.tuning)
        } catch {
            throw Violation("refused for the second time: \(error)")
        }
        let again = try holding(of: fileSystem, store.capabilities)
        guard again.content == found.content, again.openedAt > found.openedAt, store.recovery.wasClosed else {
            throw Violation("opened for the second time with other content: \(again)")
        }
    }

    private func check(_ fileSystem: SimulatedFileSystem) throws(Violation) {
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        for call in fileSystem.calls where call.kind == .read && call.count > max(1 << 16, log.count) {
            throw Violation("asked for \(call.count) bytes of a log of \(log.count)")
        }
    }

    /// Whether the last frame cannot be told from one that a crash cut off.
    ///
    /// Its first sector is zeros, or more of its sectors are than were, or it breaks off in zeros; and everything before
    /// it is as it was.
    private func looksCutOff(_ damaged: [UInt8]) -> Bool {
        guard damaged.count == log.count, damaged.prefix(lastFrame.lowerBound) == log.prefix(lastFrame.lowerBound)
        else {
            return false
        }
        func zeroSectors(_ bytes: [UInt8]) -> [Bool] {
            stride(from: lastFrame.lowerBound, to: lastFrame.upperBound, by: 512).map { start in
                bytes[start..<start + 512].allSatisfy { $0 == 0 }
            }
        }
        let zeros = zeroSectors(damaged)
        return zeros.first == true || zeros.count { $0 } > zeroSectors(log).count { $0 }
            || damaged[lastFrame].last == 0
    }

    /// Whether some sectors of what was written last are zeros, and nothing else is changed.
    private func isLeftByCrash(_ damaged: [UInt8]) -> Bool {
        guard damaged.count == log.count else { return false }
        let last = isClosed ? lastFrame.upperBound..<lastFrame.upperBound + 512 : lastFrame
        for start in stride(from: 0, to: log.count, by: 512) {
            let sector = damaged[start..<start + 512]
            if sector == log[start..<start + 512] { continue }
            guard last.contains(start), sector.allSatisfy({ $0 == 0 }) else { return false }
        }
        return true
    }

    /// Whether the log looks as if it had not been closed.
    private func hasLostSeal(_ damaged: [UInt8]) -> Bool {
        let seal = lastFrame.upperBound..<lastFrame.upperBound + 512
        return damaged.count == log.count && damaged.prefix(seal.lowerBound) == log.prefix(seal.lowerBound)
            && damaged[seal].allSatisfy { $0 == 0 }
    }

    private func lastDifference(_ damaged: [UInt8]) -> Int? {
        if damaged.count != log.count { return damaged.count }
        return damaged.indices.last { damaged[$0] != log[$0] }
    }
}
