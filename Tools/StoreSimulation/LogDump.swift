internal import ReliabilityCore
package import ReliabilityFileStore
internal import ReliabilityStore

/// Returns the content of a log as the lines of JSON that `Tools/StoreFormat/read_log.py --content` prints.
///
/// - Parameters:
///   - content: The entries and records.
///   - contents: The position and the state of the log.
/// - Returns: One line for each entry and record, and one for the rest.
package func contentLines(_ content: StoreContent, _ contents: LogContents) -> String {
    var lines = ""
    for entry in content.entries {
        let end = entry.stored.expiresAt.map { "\($0)" } ?? "null"
        lines += "{\"key\":\"\(hexadecimal(entry.key.encoded))\",\"value\":\"\(hexadecimal(entry.stored.value))\","
        lines += "\"version\":\(entry.stored.version),\"expires_at\":\(end)}\n"
    }
    for record in content.records {
        let reason = record.deadLetterReason.map { quoted($0) } ?? "null"
        lines += "{\"queue\":\(quoted(record.queue)),\"id\":\(quoted(record.id)),"
        lines += "\"payload\":\"\(hexadecimal(record.payload))\",\"version\":\(record.version),"
        lines += "\"attempts\":\(record.attempts),\"due_at\":\(record.dueAt),\"leased\":\(record.isLeased),"
        lines += "\"dead_reason\":\(reason)}\n"
    }
    lines += "{\"clock\":\(contents.position.clock),\"next_version\":\(contents.position.nextVersion),"
    lines += "\"end\":\(contents.bytes),\"frames\":\(contents.frames),"
    return lines + "\"dropped\":\(contents.droppedTailBytes),\"closed\":\(contents.isSealed)}\n"
}

/// Returns the content of a log, or its damage, as `read_log.py --content` prints it.
package func contentLines(ofLog log: [UInt8]) -> String {
    do throws(LogReader.Failure) {
        let (mutations, contents) = try readLog(log)
        var state = StoreStateMachine(
            capabilities: StoreCapabilities(durability: .none, openedAt: nil, canStall: false),
            limits: StoreLimits(maxEntries: .max, maxBytes: .max)
        )
        state.apply(mutations)
        return contentLines(StoreContent(snapshot: state.snapshot(), now: .min), contents)
    } catch {
        switch error {
        case .damaged(let offset): return "{\"damaged\":\(offset)}\n"
        case .unknownFormat(let version): return "{\"unknown_format\":\(version)}\n"
        case .fileSystem(let error): return "{\"file_system\":\(quoted(error.explanation))}\n"
        }
    }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

private func quoted(_ text: String) -> String {
    var bytes: [UInt8] = []
    appendJSON(text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}
