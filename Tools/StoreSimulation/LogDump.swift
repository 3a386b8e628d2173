internal import ReliabilityCore
internal import ReliabilityFileStore
internal import ReliabilityStore

/// Returns the content of a store as the lines of JSON that `Tools/StoreFormat/read_store.py --content` prints.
///
/// There is one line for each entry and record, and one for the rest.
package func contentLines(_ reading: StoreReading) -> String {
    var lines = ""
    for entry in reading.content.entries {
        let end = entry.stored.expiresAt.map { "\($0)" } ?? "null"
        lines += "{\"key\":\"\(hexadecimal(entry.key.encoded))\",\"value\":\"\(hexadecimal(entry.stored.value))\","
        lines += "\"version\":\(entry.stored.version),\"expires_at\":\(end)}\n"
    }
    for record in reading.content.records {
        let reason = record.deadLetterReason.map { quoted($0) } ?? "null"
        lines += "{\"queue\":\(quoted(record.queue)),\"id\":\(quoted(record.id)),"
        lines += "\"payload\":\"\(hexadecimal(record.payload))\",\"version\":\(record.version),"
        lines += "\"attempts\":\(record.attempts),\"due_at\":\(record.dueAt),\"leased\":\(record.isLeased),"
        lines += "\"dead_reason\":\(reason)}\n"
    }
    let contents = reading.contents
    let clock = contents.frames > 0 ? "\(contents.position.clock)" : "null"
    let version = contents.frames > 0 ? "\(contents.position.nextVersion)" : "null"
    lines += "{\"clock\":\(clock),\"next_version\":\(version),\"file\":\(quoted(reading.lastName)),"
    lines += "\"end\":\(contents.bytes),\"frames\":\(contents.frames),"
    return lines + "\"dropped\":\(contents.droppedTailBytes),\"closed\":\(contents.isSealed)}\n"
}

/// Returns the content of the files of a directory, or their damage, as `read_store.py --content` prints it.
package func contentLines(of files: [String: [UInt8]]) -> String {
    do throws(StoreError) {
        return contentLines(try StoreReading(files))
    } catch {
        switch error.reason {
        case .corruption(let file, let offset): return "{\"file\":\(quoted(file)),\"damaged\":\(offset)}\n"
        case .unsupportedFormat(let version): return "{\"unknown_format\":\(version)}\n"
        case .unavailable: return "{\"new\":true}\n"
        default: return "{\"error\":\(quoted("\(error)"))}\n"
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
