import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore
import StoreSimulation

/// The files of a store that come from a fuzzer.
struct FuzzedStore {
    private(set) var files: [String: [UInt8]]

    init(files: [String: [UInt8]]) { self.files = files }

    /// A store with one segment, or with the log of format 1 if the header has this format.
    static func segment(_ bytes: [UInt8]) -> FuzzedStore {
        let isFirstFormat = bytes.count >= 16 && bytes.number(at: 12, as: UInt32.self) == 1
        let name = isFirstFormat ? LogFormat.firstFormatName : LogFormat.name(.segment, 1)
        return FuzzedStore(files: [name: bytes, LogFormat.lockName: Array("1              \nhas a log\n".utf8)])
    }

    // MARK: Encoding

    // Each file has a byte for its kind, a byte for its number, two bytes for its length, and its content.

    private static let plainNames = [LogFormat.lockName, LogFormat.reserveName, LogFormat.firstFormatName]

    init(decoding bytes: [UInt8]) {
        files = [LogFormat.lockName: []]
        var rest = bytes[...]
        while rest.count >= 4 {
            let head = Array(rest.prefix(4))
            rest = rest.dropFirst(4)
            let count = Int(head.number(at: 2, as: UInt16.self))
            let kind = Int(head[0] % 5)
            let name =
                kind < 3
                ? Self.plainNames[kind] : LogFormat.name(kind == 3 ? .segment : .checkpoint, UInt64(head[1]))
            files[name] = Array(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        for (name, content) in files.sorted(by: { $0.key < $1.key }) {
            var head: [UInt8] = [0, 0, 0, 0]
            if let plain = Self.plainNames.firstIndex(of: name) { head[0] = UInt8(plain) }
            for (kind, fileKind) in [(UInt8(3), FileHeader.Kind.segment), (4, .checkpoint)] {
                guard let number = LogFormat.number(fileKind, inName: name) else { continue }
                head[0] = kind
                head[1] = UInt8(truncatingIfNeeded: number)
            }
            head.set(UInt16(truncatingIfNeeded: content.count), at: 2)
            bytes += head + content
        }
        return bytes
    }

    // MARK: Repair

    /// The store with correct checksums of the file headers and of everything that begins as a frame.
    var repaired: FuzzedStore {
        FuzzedStore(files: files.mapValues { $0.starts(with: Array("RELIALOG".utf8)) ? Self.checked($0) : $0 })
    }

    /// The bytes as frames after a manifest, each with its magic, number, marks and checksums right.
    static func repairedFrames(_ bytes: [UInt8]) -> [UInt8] {
        let salt: UInt64 = 7
        let count = 1024 + (bytes.count + 511) / 512 * 512
        let header = FileHeader(salt: salt, floor: 1024, reservedEnd: Int64(count), store: 1, number: 1)
        let manifest = FrameBuilder(Manifest(firstSegment: 1)).finish(
            .manifest,
            salt: salt,
            offset: 512,
            number: 0,
            position: LogPosition(clock: .min, nextVersion: 1),
            reservedEnd: 512
        )
        var log = header.encoded + manifest + bytes + [UInt8](repeating: 0, count: count - 1024 - bytes.count)
        var offset = 1024
        var number: UInt64 = 1
        while offset < count, !log[offset..<offset + 512].allSatisfy({ $0 == 0 }) {
            log.replaceSubrange(offset..<offset + 4, with: LogFormat.frameMagic)
            log.replaceSubrange(offset + 60..<offset + 64, with: LogFormat.endMark)
            log.set(number, at: offset + 24)
            offset += setChecksums(&log, offset, salt)
            number += 1
        }
        return log
    }

    private static func checked(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 512 else { return bytes }
        var log = bytes
        log.set(FileHeader.checksum(Array(log.prefix(512))), at: 8)
        let salt: UInt64 = log.number(at: 16)
        var offset = 512
        while offset + 512 <= log.count, log[offset...].starts(with: LogFormat.frameMagic) {
            offset += setChecksums(&log, offset, salt)
        }
        return log
    }

    /// Sets the checksums of a frame and returns its size.
    private static func setChecksums(_ log: inout [UInt8], _ offset: Int, _ salt: UInt64) -> Int {
        let length: UInt64 = log.number(at: offset + 8)
        var size = 512
        if length <= LogFormat.maxPayload, LogFormat.frameSize(payload: Int(length)) <= log.count - offset {
            size = LogFormat.frameSize(payload: Int(length))
        }
        let frame = Array(log[offset..<offset + size])
        log.set(FrameHeader.bodyChecksum(frame, salt, Int64(offset)), at: offset + 16)
        let head = Array(log[offset..<offset + 64])
        log.set(FrameHeader.checksum(head, salt, Int64(offset)), at: offset + 4)
        return size
    }

    // MARK: Opening

    /// Opens the store: it is rejected and stays as it is, or it is opened, and then again with the same content.
    func recover() {
        let fileSystem = SimulatedFileSystem().restarted(with: SimulatedDisk(files))
        fileSystem.recordsCalls = true
        let store: SimulatedStore
        do throws(StoreError) {
            store = try SimulatedStore(fileSystem, unixTime: StoreImage.day, tuning: StoreImage.tuning)
        } catch {
            switch error.reason {
            case .corruption(let file, let offset):
                check((0...Int64(files[file]?.count ?? 0)).contains(offset), "\(file) at \(offset)")
            case .unsupportedFormat: break
            default: violation("rejected with \(error)")
            }
            check(fileSystem.changeCount == 0, "a rejected opening changed something")
            check(fileSystem.openCount == 0, "a rejected opening left files open")
            return
        }
        let longest = files.values.reduce(1 << 16) { max($0, $1.count) }
        for call in fileSystem.calls where call.kind == .read {
            check(call.count <= longest, "asked for \(call.count) bytes of \(call.name)")
        }
        check(store.recovery.droppedTailBytes <= Int64(longest), "\(store.recovery)")
        let first = content(fileSystem)
        // Versions beyond these are never reached, and an owner needs as many.
        guard let openedAt = store.capabilities.openedAt, openedAt.rawValue < versionLimit - 1 << 22 else { return }
        let again = fileSystem.restarted()
        do throws(StoreError) {
            let second = try SimulatedStore(again, unixTime: StoreImage.day, tuning: StoreImage.tuning)
            check(second.capabilities.openedAt.map { $0 > openedAt } ?? false, "versions begin again")
            check(content(again) == first, "opened again with other content")
            check(second.start >= store.start, "the clock was set back")
            let put = WorkloadOperation.commit([.put(StoreKey("fuzz"), [1], .never, if: .any)], [])
            guard case .commit(.committed) = second.call(put) else { violation("rejected a write") }
            second.close()
            let third = try SimulatedStore(again.restarted(), unixTime: StoreImage.day, tuning: StoreImage.tuning)
            check(third.recovery.wasClosed, "not found closed")
        } catch {
            violation("rejected again: \(error)")
        }
    }

    private func content(_ fileSystem: SimulatedFileSystem) -> StoreContent {
        do throws(StoreError) {
            return try StoreReading(fileSystem.restarted()).content
        } catch {
            violation("the new segment is not right: \(error)")
        }
    }
}
