internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// Damage to the files of a store.
package enum Damage: Hashable, Sendable {
    case nothing
    case flip(String, bit: Int)
    case zero(sector: Int)
    case garbage(sector: Int, seed: UInt64)
    /// A sector has the content of another sector.
    case copy(from: Int, to: Int)
    case swap(Int, Int)
    /// Sectors have the content of another store's log at the same place.
    case foreign(from: Int, to: Int)
    /// The file header has another format.
    case format(UInt32)
    case cut(String, length: Int)
    case remove(String)
    /// The file has random bytes of a seed.
    case replace(String, count: Int, seed: UInt64)

    /// Returns every damage to an image except flipped bits.
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
        // The first sector is left out, because with it the log would be the other store's.
        let last = min(sectors.count, image.foreign.count / 512)
        for first in 1..<last { all += (first + 1...last).map { .foreign(from: first, to: $0) } }
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

    /// Returns the damaged files.
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
        case .foreign(let start, let end):
            log.replaceSubrange(512 * start..<512 * end, with: image.foreign[512 * start..<512 * end])
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
    /// The result of an opening of damaged files.
    package enum Outcome: Hashable, Sendable {
        /// The files were rejected.
        case rejected
        /// The files were opened with their whole content.
        case whole
        /// The files were opened without the last frame, as documented for a store that was not closed.
        case withoutLastFrame
    }

    /// Opens the damaged files and checks the result.
    ///
    /// - Parameter damage: The damage.
    /// - Returns: The result of the opening.
    /// - Throws: ``Violation``.
    package func outcome(of damage: Damage) throws(Violation) -> Outcome {
        let damaged = damage.applied(to: self)
        // A process id of neither process that made the image.
        let fileSystem = SimulatedFileSystem().restarted().restarted(with: SimulatedDisk(damaged))
        fileSystem.recordsCalls = true
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: Self.later, tuning: Self.tuning)
        } catch {
            try check(fileSystem)
            return try judge(rejection: error, damage, damaged, fileSystem)
        }
        if case .format = damage, damaged["log"] != files["log"] { throw Violation("opened another format") }
        if isClosed, damaged["log"] != files["log"], !hasLostSeal(damaged["log"] ?? []) {
            throw Violation("opened a log that was closed, and changed since")
        }
        let recovery = store.recovery
        let found = try holding(of: fileSystem, store.capabilities)
        store.close()
        try check(fileSystem)
        try checkSecondOpening(fileSystem.restarted(), found)
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
        rejection: StoreError,
        _ damage: Damage,
        _ damaged: [String: [UInt8]],
        _ fileSystem: SimulatedFileSystem
    ) throws(Violation) -> Outcome {
        if damaged["log"] == files["log"] { throw Violation("rejected a log that is right: \(rejection)") }
        switch (rejection.reason, damage) {
        case (.unsupportedFormat(let version), .format(let written)) where version == Int(written): break
        case (.corruption("log", let offset), _) where offset >= 0:
            if case .format = damage { throw Violation("took another format for damage") }
            guard let there = damaged["log"] else { break }
            if let place = lastDifference(there), offset > place {
                throw Violation("reported offset \(offset); the last byte that is wrong is at \(place)")
            }
            if isLeftByCrash(there) { throw Violation("took what a crash leaves for damage: \(rejection)") }
        default: throw Violation("rejected with \(rejection)")
        }
        for name in ["log", "LOCK"] where damaged[name] != nil && fileSystem.disk.bytes(of: name) != damaged[name] {
            throw Violation("the rejected opening changed \(name)")
        }
        if fileSystem.openCount > 0 { throw Violation("the rejected opening left files open") }
        return .rejected
    }

    /// Returns the content of the log after the opening.
    private func holding(
        of fileSystem: SimulatedFileSystem,
        _ capabilities: StoreCapabilities
    ) throws(Violation) -> Holding {
        let mutations: [StoreMutation]
        let position: LogPosition
        do throws(LogReader.Failure) {
            let (all, contents) = try readLog(fileSystem.disk.bytes(of: "log") ?? [])
            (mutations, position) = (all, contents.position)
        } catch {
            throw Violation("the new log is not right: \(error)")
        }
        guard let openedAt = capabilities.openedAt,
            position == LogPosition(clock: Self.later, nextVersion: openedAt.rawValue)
        else { throw Violation("the new log has the position \(position)") }
        return Holding(content: StoreContent(snapshot: mutations, now: Self.later), openedAt: openedAt)
    }

    /// Checks that the store opens again with the same content.
    private func checkSecondOpening(_ fileSystem: SimulatedFileSystem, _ found: Holding) throws(Violation) {
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: Self.later, tuning: Self.tuning)
        } catch {
            throw Violation("rejected for the second time: \(error)")
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

    /// Returns a Boolean value that indicates whether the last frame looks like a frame that a crash cut off.
    ///
    /// Its first sector is zeros, more of its sectors are zeros than originally, or its end is zeros. Everything
    /// before the frame is unchanged.
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

    /// Returns a Boolean value that indicates whether only some sectors of the last write became zeros.
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

    /// A Boolean value that indicates whether the log looks as if the store had not been closed.
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
