internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

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
        // A process id of no process that made the image.
        let fileSystem = SimulatedFileSystem(seed: 9).restarted(with: SimulatedDisk(damaged)).restarted()
        fileSystem.recordsCalls = true
        let wrong = wrongFiles(damaged)
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: Self.later, tuning: Self.tuning)
        } catch {
            try check(fileSystem, damaged)
            return try judge(rejection: error, damage, damaged, fileSystem)
        }
        let recovery = store.recovery
        let found = try holding(of: fileSystem, store.capabilities)
        store.close()
        try check(fileSystem, damaged)
        try checkSecondOpening(fileSystem.restarted(), found)
        let last = damaged[lastName] ?? []
        if !wrong.subtracting([lastName]).isEmpty { throw Violation("opened although \(wrong) changed") }
        if found == holding {
            let isIntact = wrong.isEmpty
            if !isIntact, isClosed ? !hasLostSeal(last) : !isIntactUpToLastFrame(last) {
                throw Violation("opened although the last segment changed")
            }
            if recovery.wasClosed != isClosed, recovery.wasClosed || isIntact {
                throw Violation("the report says wasClosed: \(recovery.wasClosed)")
            }
            if recovery.droppedTailBytes > 0, recovery.wasClosed || isIntact {
                throw Violation("\(recovery.droppedTailBytes) bytes were dropped where none were cut off")
            }
            return .whole
        }
        guard found == holdingBefore else { throw Violation("opened with wrong content: \(found)") }
        guard !isClosed, looksCutOff(last) else {
            throw Violation("opened without the last frame, which was not cut off")
        }
        if recovery.droppedTailBytes == 0, last[lastFrame].contains(where: { $0 != 0 }) {
            throw Violation("the dropped bytes were not reported")
        }
        return .withoutLastFrame
    }

    private func judge(
        rejection: StoreError,
        _ damage: Damage,
        _ damaged: [String: [UInt8]],
        _ fileSystem: SimulatedFileSystem
    ) throws(Violation) -> Outcome {
        let wrong = wrongFiles(damaged)
        if wrong.isEmpty { throw Violation("rejected files that are right: \(rejection)") }
        switch (rejection.reason, damage) {
        case (.unsupportedFormat(let version), .format(_, let written)) where version == Int(written): break
        case (.corruption(let file, let offset), _) where offset >= 0:
            if case .format = damage { throw Violation("took another format for damage") }
            try judge(file, offset, damage, damaged)
        default: throw Violation("rejected with \(rejection)")
        }
        let names = Set(damaged.keys).union([LogFormat.lockName])
        for (name, bytes) in damaged where fileSystem.disk.bytes(of: name) != bytes {
            throw Violation("the rejected opening changed \(name)")
        }
        if !names.isSuperset(of: fileSystem.disk.names.map(\.name)) {
            throw Violation("the rejected opening created a file")
        }
        if fileSystem.openCount > 0 { throw Violation("the rejected opening left files open") }
        return .rejected
    }

    /// Returns a Boolean value that indicates whether the segment that LOCK names begins as in the other store.
    private func isForeign(_ damaged: [String: [UInt8]]) -> Bool {
        damaged[markedName]?.prefix(512) == foreign[markedName]?.prefix(512)
    }

    /// Checks the reported file and offset.
    private func judge(
        _ file: String,
        _ offset: Int64,
        _ damage: Damage,
        _ damaged: [String: [UInt8]]
    ) throws(Violation) {
        // An intact segment of another store shows only that the files do not belong together.
        switch damage {
        case .foreignFile(let file), .foreign(let file, _): if file == markedName, isForeign(damaged) { return }
        default: break
        }
        guard wrongFiles(damaged).contains(file) else { throw Violation("reported \(file), which did not change") }
        guard let there = damaged[file] else {
            if offset > 0 { throw Violation("reported offset \(offset) of a missing file") }
            return
        }
        let place = lastDifference(file, there)
        if offset > place {
            throw Violation("reported offset \(offset); the last byte that is wrong is at \(place)")
        }
        if file == lastName, isLeftByCrash(there) { throw Violation("took the result of a crash for damage") }
    }

    /// Returns the content after the opening.
    private func holding(
        of fileSystem: SimulatedFileSystem,
        _ capabilities: StoreCapabilities
    ) throws(Violation) -> Holding {
        let reading: StoreReading
        do throws(StoreError) {
            reading = try StoreReading(fileSystem.restarted())
        } catch {
            throw Violation("the new segment is not right: \(error)")
        }
        guard let openedAt = capabilities.openedAt,
            reading.contents.position == LogPosition(clock: Self.later, nextVersion: openedAt.rawValue)
        else { throw Violation("the new segment has the position \(reading.contents.position)") }
        return Holding(content: reading.content, openedAt: openedAt)
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
        let others: Set = [LogFormat.lockName, LogFormat.reserveName, Damage.otherName]
        let names = Set(fileSystem.disk.names.map(\.name)).subtracting(others)
        guard names == store.neededFileNames else { throw Violation("left the files \(names)") }
    }

    private func check(_ fileSystem: SimulatedFileSystem, _ damaged: [String: [UInt8]]) throws(Violation) {
        if let misuse = fileSystem.misuse { throw Violation(misuse) }
        let longest = damaged.values.reduce(1 << 16) { max($0, $1.count) }
        for call in fileSystem.calls where call.kind == .read && call.count > longest {
            throw Violation("asked for \(call.count) bytes of \(call.name)")
        }
    }

    // MARK: Differences

    /// Returns the names of the files of which bytes that the store depends on changed.
    private func wrongFiles(_ damaged: [String: [UInt8]]) -> Set<String> {
        neededNames.filter { name in
            guard let there = damaged[name], let original = files[name] else { return true }
            let count = significantCount(name)
            let hasOtherSize = count < original.count ? there.count < original.count : there.count != original.count
            return hasOtherSize || there[..<count] != original[..<count]
        }
    }

    private func lastDifference(_ name: String, _ damaged: [UInt8]) -> Int {
        let original = files[name] ?? []
        if damaged.count != original.count { return max(damaged.count, original.count) }
        return (0..<significantCount(name)).last { damaged[$0] != original[$0] } ?? -1
    }

    private var lastSegment: [UInt8] { files[lastName] ?? [] }

    /// Returns a Boolean value that indicates whether the last frame looks like a frame that a crash cut off.
    ///
    /// Its first sector is zeros, more of its sectors are zeros than originally, or its end is zeros. Everything
    /// before the frame is unchanged.
    private func looksCutOff(_ damaged: [UInt8]) -> Bool {
        let log = lastSegment
        guard damaged.count == log.count, damaged.prefix(lastFrame.lowerBound) == log.prefix(lastFrame.lowerBound)
        else { return false }
        func zeroSectors(_ bytes: [UInt8]) -> [Bool] {
            stride(from: lastFrame.lowerBound, to: lastFrame.upperBound, by: 512).map { start in
                bytes[start..<start + 512].allSatisfy { $0 == 0 }
            }
        }
        let zeros = zeroSectors(damaged)
        return zeros.first == true || zeros.count { $0 } > zeroSectors(log).count { $0 }
            || damaged[lastFrame].last == 0
    }

    /// Returns a Boolean value that indicates whether only bytes after the last frame changed.
    private func isIntactUpToLastFrame(_ damaged: [UInt8]) -> Bool {
        damaged.count >= lastSegment.count
            && damaged.prefix(lastFrame.upperBound) == lastSegment.prefix(lastFrame.upperBound)
    }

    /// Returns a Boolean value that indicates whether only some sectors of the last write became zeros.
    private func isLeftByCrash(_ damaged: [UInt8]) -> Bool {
        let log = lastSegment
        guard damaged.count == log.count else { return false }
        let last = isClosed ? lastFrame.upperBound..<lastFrame.upperBound + 512 : lastFrame
        for start in stride(from: 0, to: log.count, by: 512) {
            let sector = damaged[start..<start + 512]
            if sector == log[start..<start + 512] { continue }
            guard last.contains(start), sector.allSatisfy({ $0 == 0 }) else { return false }
        }
        return true
    }

    /// Returns a Boolean value that indicates whether the segment looks as if the store had not been closed.
    private func hasLostSeal(_ damaged: [UInt8]) -> Bool {
        let (log, seal) = (lastSegment, lastFrame.upperBound..<lastFrame.upperBound + 512)
        return damaged.count == log.count && damaged.prefix(seal.lowerBound) == log.prefix(seal.lowerBound)
            && damaged[seal].allSatisfy { $0 == 0 }
    }
}
