internal import ReliabilityFileStore

/// Damage to the files of a store.
package enum Damage: Hashable, Sendable {
    /// A sector of a file.
    package struct Sector: Hashable, Sendable {
        package var file: String
        package var number: Int

        var range: Range<Int> { 512 * number..<512 * number + 512 }
    }

    case nothing
    case flip(String, bit: Int)
    case zero(Sector)
    case garbage(Sector, seed: UInt64)
    /// A sector has the content of another sector.
    case copy(from: Sector, to: Sector)
    case swap(Sector, Sector)
    /// Sectors have the content of the file of the same name in another store.
    case foreign(String, sectors: Range<Int>)
    /// The file is the file of the same name in another store.
    case foreignFile(String)
    /// The file has the name of another file.
    case copyFile(from: String, to: String)
    /// The file header has another format.
    case format(String, UInt32)
    case cut(String, length: Int)
    /// Bytes follow the end of the file.
    case longer(String, count: Int, seed: UInt64)
    case remove(String)
    /// The file has random bytes of a seed.
    case replace(String, count: Int, seed: UInt64)

    /// A name that no file of a store has.
    static let otherName = "log-ffffffffffffffff"

    /// Returns every damage to an image except flipped bits.
    package static func all(to image: StoreImage) -> [Damage] {
        let names = image.files.keys.sorted()
        let logs = names.filter { $0 != LogFormat.lockName && $0 != LogFormat.reserveName }
        let sectors = logs.flatMap { name in
            (0..<image.files[name, default: []].count / 512).map { Sector(file: name, number: $0) }
        }
        var all: [Damage] = [.nothing] + names.map { .remove($0) }
        all += sectors.enumerated().flatMap { [.zero($1), .garbage($1, seed: UInt64($0))] }
        for (index, first) in sectors.enumerated() {
            for second in sectors[(index + 1)...] {
                let (one, two) = (image.files[first.file]?[first.range], image.files[second.file]?[second.range])
                if one == two { continue }
                all += [.copy(from: first, to: second), .copy(from: second, to: first), .swap(first, second)]
            }
        }
        for name in logs {
            all += damages(toLog: name, image)
            for other in logs where other != name { all.append(.copyFile(from: other, to: name)) }
        }
        all += (0..<image.files["LOCK", default: []].count).map { .cut("LOCK", length: $0) }
        all += (0..<image.files["LOCK", default: []].count * 8).map { .flip("LOCK", bit: $0) }
        all += [0, 1, 512, 1000].map { .cut("reserve", length: $0) }
        for count in [0, 1, 26, 60, 512, 1024, 5000] {
            let others = ["log", "log.tmp", "log-00000000000000ff", "checkpoint-00000000000000ff", otherName]
            all += (names + others).map { .replace($0, count: count, seed: UInt64(count)) }
        }
        return all
    }

    private static func damages(toLog name: String, _ image: StoreImage) -> [Damage] {
        let count = image.files[name, default: []].count / 512
        let last = min(count, image.foreign[name, default: []].count / 512)
        var all: [Damage] = [.foreignFile(name), .longer(name, count: 1, seed: 1), .longer(name, count: 1024, seed: 2)]
        for first in 0..<last { all += (first + 1...last).map { .foreign(name, sectors: first..<$0) } }
        all += [0, 1, 3, 1000, .max].map { .format(name, $0) }
        for sector in 0..<count {
            all += [0, 1, 63, 64, 511].map { .cut(name, length: 512 * sector + $0) }
        }
        return all
    }

    /// Returns the damaged files.
    package func applied(to image: StoreImage) -> [String: [UInt8]] {
        var files = image.files
        func bytes(_ sector: Sector) -> ArraySlice<UInt8> { image.files[sector.file, default: []][sector.range] }
        func set(_ sector: Sector, _ bytes: some Collection<UInt8>) {
            files[sector.file]?.replaceSubrange(sector.range, with: bytes)
        }
        switch self {
        case .nothing: break
        case .flip(let file, let bit): files[file]?[bit / 8] ^= 1 << UInt8(bit % 8)
        case .zero(let sector): set(sector, repeatElement(0, count: 512))
        case .garbage(let sector, let seed): set(sector, Self.bytes(512, seed))
        case .copy(let from, let to): set(to, bytes(from))
        case .swap(let first, let second):
            set(first, bytes(second))
            set(second, bytes(first))
        case .foreign(let file, let sectors):
            let range = 512 * sectors.lowerBound..<512 * sectors.upperBound
            files[file]?.replaceSubrange(range, with: image.foreign[file, default: []][range])
        case .foreignFile(let file): files[file] = image.foreign[file]
        case .copyFile(let from, let to): files[to] = files[from]
        case .format(let file, let version):
            files[file]?.set(version, at: 12)
            let checksum = FileHeader.checksum(Array(files[file, default: []].prefix(512)))
            files[file]?.set(checksum, at: 8)
        case .cut(let file, let length): files[file] = Array(files[file, default: []].prefix(length))
        case .longer(let file, let count, let seed): files[file]? += Self.bytes(count, seed)
        case .remove(let file): files[file] = nil
        case .replace(let file, let count, let seed): files[file] = Self.bytes(count, seed)
        }
        return files
    }

    private static func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        let source = SimulatedFileSystem(seed: seed &* 7919 &+ 1)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: source.randomNumber()) }
    }
}
