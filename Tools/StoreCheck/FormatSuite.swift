import CheckSupport
import Foundation
import StoreSimulation

/// Writes damaged stores to a directory with the results of the store's own reader, for a comparison with another
/// reader: `Tools/StoreFormat/read_store.py --check DIRECTORY`.
///
/// Each image has a file. Its first line has the files of the image. Each other line has the files that differ.
func formatSuite(_ directory: String, _: String?) async throws -> SuiteResult {
    var count = 0
    for image in StoreImage.all {
        let random = SimulatedFileSystem(seed: 1)
        let flips = (0..<400).map { _ in image.flip(random.randomNumber()).damage }
        // Thousands of copies of sectors are alike.
        let damages = Damage.all(to: image).enumerated().filter { index, damage in
            switch damage {
            case .copy, .swap, .foreign: index % 23 == 0
            default: true
            }
        }
        var lines = try line(DamagedStore(files: image.files, expected: contentLines(of: image.files)))
        for damage in damages.map(\.element) + flips {
            let files = damage.applied(to: image)
            var changed: [String: [UInt8]?] = files.filter { image.files[$0.key] != $0.value }
            for name in image.files.keys where files[name] == nil { changed[name] = .some(nil) }
            if changed.isEmpty { continue }
            lines += try line(DamagedStore(files: changed, expected: contentLines(of: files)))
            count += 1
        }
        let file = URL(fileURLWithPath: directory).appendingPathComponent("\(image.name).stores")
        try Data(lines).write(to: file)
    }
    return SuiteResult(summary: "\(count) damaged stores written")
}

private struct DamagedStore: Encodable {
    /// The content of the files in Base64, and `nil` for a missing file.
    var files: [String: String?]
    var expected: String

    init(files: [String: [UInt8]?], expected: String) {
        self.files = files.mapValues { $0.map { Data($0).base64EncodedString() } }
        self.expected = expected
    }
}

private func line(_ store: DamagedStore) throws -> [UInt8] { Array(try JSONEncoder().encode(store)) + [10] }
