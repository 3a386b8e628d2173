import ReliabilityCore
import ReliabilityFileStore
import ReliabilityStore

/// The report of `verify` and `salvage`.
extension StoreInspection {
    /// The numbers of entries and records.
    var contentText: String {
        let records = content.count { if case .putRecord = $0 { true } else { false } }
        return "\(counted(content.count - records, "entry", "entries")) and \(counted(records, "record"))"
    }

    /// The report for people.
    var lines: [String] {
        guard let problem else {
            var lines = ["sound: \(contentText)"]
            if let report, !report.wasClosed { lines.append("the store was not closed") }
            if let report, report.droppedTailBytes > 0 {
                lines.append(
                    "a write of \(counted(report.droppedTailBytes, "byte")) was cut off and never acknowledged"
                )
            }
            return lines
        }
        var lines = ["damaged: \(problem.explanation)"]
        for finding in findings {
            var line = "\(finding.file): \(finding.explanation)"
            if !finding.range.isEmpty {
                line += ", bytes \(finding.range.lowerBound) to \(finding.range.upperBound - 1)"
            } else if finding.range.lowerBound > 0 {
                line += ", at offset \(finding.range.lowerBound)"
            }
            switch finding.lostFrames {
            case 0: line += ", no frame is lost"
            case let lost?: line += ", \(counted(lost, "frame")) lost"
            case nil: line += ", an unknown number of frames is lost"
            }
            lines.append(line)
        }
        for file in files where file.isNeeded && findings.contains(where: { $0.file == file.name }) {
            let before = file.readableBytes - file.readableBytesAfterDamage
            lines.append(
                "\(file.name): \(byteText(before)) readable before the damage, "
                    + "\(byteText(file.readableBytesAfterDamage)) after"
            )
        }
        lines.append("readable: \(contentText)")
        lines.append(
            "uncertain: \(counted(uncertainItems, "entry or record", "entries and records")) "
                + "that a lost frame may have changed or removed"
        )
        return lines
    }

    /// The report for programs.
    var json: JSON {
        let records = content.count { if case .putRecord = $0 { true } else { false } }
        return .object([
            ("isDamaged", .bool(problem != nil)),
            ("error", problem.map { .string($0.code.rawValue) } ?? .null),
            ("message", problem.map { .string($0.explanation) } ?? .null),
            ("wasClosed", report.map { .bool($0.wasClosed) } ?? .null),
            ("droppedTailBytes", report.map { .number($0.droppedTailBytes) } ?? .null),
            ("entries", .count(content.count - records)), ("records", .count(records)),
            ("uncertain", .count(uncertainItems)),
            ("lostFrames", lostFrames.map { .number(Int64(clamping: $0)) } ?? .null),
            (
                "findings",
                .array(
                    findings.map { finding in
                        .object([
                            ("file", .string(finding.file)), ("reason", .string(finding.reason.rawValue)),
                            ("start", .number(finding.range.lowerBound)), ("end", .number(finding.range.upperBound)),
                            ("lostFrames", finding.lostFrames.map { .number(Int64(clamping: $0)) } ?? .null),
                        ])
                    }
                )
            ),
            (
                "files",
                .array(
                    files.map { file in
                        var fields: [(String, JSON)] = [
                            ("name", .string(file.name)), ("role", .string(file.role.rawValue)),
                            ("bytes", .number(file.size)), ("isNeeded", .bool(file.isNeeded)),
                        ]
                        if problem != nil {
                            fields += [
                                ("frames", .count(file.frames)), ("readableBytes", .number(file.readableBytes)),
                                ("readableBytesAfterDamage", .number(file.readableBytesAfterDamage)),
                            ]
                        }
                        return .object(fields)
                    }
                )
            ),
        ])
    }
}
