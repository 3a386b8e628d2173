import Foundation
import Reliability

/// The opening of a file store after a close, and of a snapshot of the store before the close.
///
/// The kill of a process leaves the same files as a snapshot. The baseline reads the files of the store once.
@Sendable func measureOpening(_ directory: String, _ keys: Int) async throws -> Stores.Figures {
    let (closed, killed) = ("\(directory)/closed", "\(directory)/killed")
    let store = try await FileStore.open(roomyAt: closed)
    try await Content.fill(store, keys)
    try await store.snapshot(to: killed)
    await store.close()
    let start = ContinuousClock.now
    for path in files(in: closed) {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        while let bytes = try file.read(upToCount: 1 << 20), !bytes.isEmpty {}
    }
    let reading = (ContinuousClock.now - start).inSeconds
    let (seconds, written) = try await opening(of: closed, keys)
    let (secondsAfterKill, writtenAfterKill) = try await opening(of: killed, keys)
    return [
        "reading": reading,
        "closed": seconds,
        "closed.written": written,
        "killed": secondsAfterKill,
        "killed.written": writtenAfterKill,
    ]
}

/// The seconds of an opening and the written mebibytes.
private func opening(of path: String, _ keys: Int) async throws -> (Double, Double) {
    let (written, start) = (bytesWritten(), ContinuousClock.now)
    let store = try await FileStore.open(roomyAt: path)
    let seconds = (ContinuousClock.now - start).inSeconds
    let mebibytes = Double(bytesWritten() - written) / Double(1 << 20)
    precondition(store.usage.entries == keys, "the store at \(path) has \(store.usage.entries) entries")
    await store.close()
    return (seconds, mebibytes)
}
