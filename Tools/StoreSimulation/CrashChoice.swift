/// The part of the changes that were not durable which a crash keeps.
package enum CrashChoice: Hashable, Sendable {
    /// The process ends and the system continues, so every change is present and still not durable.
    case kill
    case nothing
    case everything
    /// The first changes in the order in which they were made.
    case prefix(Int)
    case missing(Int)
    case only(Int)
    case random(UInt64)
    /// Some names, and all or no other changes.
    case names(UInt64, withData: Bool)
    /// A file has its new length, and the part that was not written has the earlier content of the disk.
    case garbage(Garbage, kept: Kept)
    /// One sector has a new and an old part.
    ///
    /// No disk does this. A store may reject such files but must not misread them.
    case torn(Int, at: Int, newFirst: Bool)

    package enum Garbage: Hashable, Sendable {
        case noise(UInt64)
        /// The content of an older file at the same place.
        case stale
    }

    package enum Kept: Hashable, Sendable {
        case sizes
        case random(UInt64)
    }

    /// A Boolean value that indicates whether a store may report damaged files.
    package var mayBeRejected: Bool {
        if case .torn = self { true } else { false }
    }

    /// A Boolean value that indicates whether every sector that is left was written by a program.
    package var isPossible: Bool {
        switch self {
        case .torn, .garbage: false
        case .kill, .nothing, .everything, .prefix, .missing, .only, .random, .names: true
        }
    }
}

extension SimulatedDisk {
    /// Returns every relevant crash state in an order that depends on the changes only.
    ///
    /// - Parameters:
    ///   - randomSubsets: The number of random subsets of the changes.
    ///   - seed: The seed of the random subsets.
    /// - Returns: The crash states.
    package func crashChoices(randomSubsets: Int, seed: UInt64) -> [CrashChoice] {
        let count = changes.count
        var choices: [CrashChoice] = [.nothing]
        if count == 0 { return choices }
        choices.append(.everything)
        choices.append(.kill)
        var generator = SplitMix(seed)
        if count > 1 {
            for index in 1..<count { choices.append(.prefix(index)) }
            // The first change alone is a prefix, and so are all changes but the last.
            for index in 1..<count { choices.append(.only(index)) }
            for index in 0..<count - 1 { choices.append(.missing(index)) }
        }
        if count > 2 { for _ in 0..<randomSubsets { choices.append(.random(generator.next())) } }
        let names = changes.count(where: \.isName)
        if names > 0, names < count {
            for subset in 0..<UInt64(1) << UInt64(min(names, 4)) {
                choices.append(.names(subset, withData: false))
                choices.append(.names(subset, withData: true))
            }
        }
        if changes.contains(where: { if case .size = $0 { true } else { false } }) {
            for garbage in [CrashChoice.Garbage.noise(generator.next()), .stale] {
                choices.append(.garbage(garbage, kept: .sizes))
                choices.append(.garbage(garbage, kept: .random(generator.next())))
            }
        }
        for (index, change) in changes.enumerated() {
            guard case .sector = change else { continue }
            let cut = Int(generator.next() % UInt64(Self.sectorSize - 1)) + 1
            choices.append(.torn(index, at: index % 3 == 0 ? cut % 64 + 1 : cut, newFirst: true))
            choices.append(.torn(index, at: cut, newFirst: false))
        }
        return choices
    }

    /// Returns the disk that the next process finds.
    package func crashed(_ choice: CrashChoice) -> SimulatedDisk {
        switch choice {
        case .kill: return self
        case .nothing: return left { _ in false }
        case .everything: return left { _ in true }
        case .prefix(let count): return left { $0 < count }
        case .missing(let index): return left { $0 != index }
        case .only(let index): return left { $0 == index }
        case .random(let seed):
            var generator = SplitMix(seed)
            return left { _ in generator.next() & 1 == 1 }
        case .names(let subset, let withData):
            var position: UInt64 = 0
            return left { index in
                guard changes[index].isName else { return withData }
                defer { position += 1 }
                return subset >> position & 1 == 1
            }
        case .garbage(let garbage, .sizes):
            return left(garbage) { index in
                if case .sector = changes[index] { false } else { true }
            }
        case .garbage(let garbage, .random(let seed)):
            var generator = SplitMix(seed)
            return left(garbage) { index in
                if case .sector = changes[index] { generator.next() & 1 == 1 } else { true }
            }
        case .torn(let torn, let cut, let newFirst):
            return left(torn: (torn, cut, newFirst)) { _ in true }
        }
    }

    private func left(
        _ garbage: CrashChoice.Garbage? = nil,
        torn: (index: Int, cut: Int, newFirst: Bool)? = nil,
        _ isKept: (Int) -> Bool
    ) -> SimulatedDisk {
        var names = syncedNames
        var contents = files.map(\.synced)
        var sizes = contents.map(\.count)
        var written: Set<[Int]> = []
        for (index, change) in changes.enumerated() where isKept(index) {
            switch change {
            case .create, .unlink: Self.apply(change, to: &names)
            case .size(let file, let size): sizes[file] = size
            case .sector(let file, let sector, let bytes):
                let start = sector * Self.sectorSize
                let growth = max(0, start + bytes.count - contents[file].count)
                contents[file].append(contentsOf: repeatElement(0, count: growth))
                var bytes = bytes
                if let torn, torn.index == index {
                    let cut = min(torn.cut, bytes.count)
                    let old = contents[file][start..<start + bytes.count]
                    bytes =
                        torn.newFirst ? bytes.prefix(cut) + old.dropFirst(cut) : old.prefix(cut) + bytes.dropFirst(cut)
                }
                contents[file].replaceSubrange(start..<start + bytes.count, with: bytes)
                if garbage != nil { written.insert([file, sector]) }
            }
        }
        var result = SimulatedDisk()
        result.residue = residue
        for file in files.indices where !names.contains(where: { $0.file == file }) {
            if files[file].synced.count > Self.sectorSize { result.residue = files[file].synced }
        }
        for entry in names {
            let file = entry.file
            var bytes = contents[file]
            if bytes.count > sizes[file] { bytes.removeLast(bytes.count - sizes[file]) }
            bytes.append(contentsOf: repeatElement(0, count: sizes[file] - bytes.count))
            if let garbage {
                let start = files[file].synced.count
                Self.fill(&bytes, from: start, garbage, result.residue) { written.contains([file, $0]) }
            }
            result.names.append(Name(name: entry.name, file: result.files.count))
            result.files.append(File(bytes: bytes, synced: bytes))
        }
        result.syncedNames = result.names
        return result
    }

    private static func fill(
        _ bytes: inout [UInt8],
        from start: Int,
        _ garbage: CrashChoice.Garbage,
        _ residue: [UInt8],
        _ isWritten: (Int) -> Bool
    ) {
        var generator = SplitMix(0)
        if case .noise(let seed) = garbage { generator = SplitMix(seed) }
        // The rest of the last sector on the disk belongs to the file.
        var sector = (start + sectorSize - 1) / sectorSize
        while sector * sectorSize < bytes.count {
            defer { sector += 1 }
            if isWritten(sector) { continue }
            for position in sector * sectorSize..<min(bytes.count, (sector + 1) * sectorSize) {
                switch garbage {
                case .noise: bytes[position] = UInt8(truncatingIfNeeded: generator.next())
                case .stale: bytes[position] = residue.isEmpty ? 0xFF : residue[position % residue.count]
                }
            }
        }
    }
}

/// A random number generator with a sequence that its seed determines (SplitMix64).
package struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(_ seed: UInt64) { state = seed }
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
