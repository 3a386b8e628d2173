internal import ReliabilityFileStore
internal import ReliabilityStore

extension ModelStore {
    /// Returns the files of a store in format 1 with the content of the model.
    ///
    /// Nothing else writes this format. The files are those of an owner that ended without a close.
    ///
    /// - Parameters:
    ///   - now: The store's clock in nanoseconds since 1970.
    ///   - salt: The salt of the log.
    /// - Returns: The files.
    func firstFormatFiles(now: Int64, salt: UInt64) -> [String: [UInt8]] {
        let content = content(now: now)
        let mutations =
            content.entries.map { StoreMutation.put($0.key, $0.stored) } + content.records.map { .putRecord($0) }
        var frames: [FrameBuilder] = []
        for start in stride(from: 0, to: max(1, mutations.count), by: 5) {
            var frame = FrameBuilder()
            for mutation in mutations.dropFirst(start).prefix(5) { frame.append(mutation) }
            frames.append(frame)
        }
        var log: [UInt8] = []
        // The second pass knows the size of the file.
        for size in [0, 1] {
            let end = Int64(log.count + 1024) * Int64(size)
            var header = FileHeader(salt: salt, floor: 512, reservedEnd: end).encoded
            header.set(UInt32(1), at: 12)
            header.set(UInt32(0), at: 80)
            header.set(FileHeader.checksum(header), at: 8)
            log = header
            for (number, frame) in frames.enumerated() {
                log += frame.finish(
                    .mutations,
                    salt: salt,
                    offset: Int64(log.count),
                    number: UInt64(number),
                    position: LogPosition(clock: now, nextVersion: nextVersion),
                    reservedEnd: end
                )
            }
        }
        log += [UInt8](repeating: 0, count: 1024)
        return ["log": log, "LOCK": Array("1              \nhas a log\n".utf8)]
    }
}
