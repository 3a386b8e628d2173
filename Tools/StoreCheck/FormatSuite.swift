import CheckSupport
import Foundation
import StoreSimulation

/// Writes damaged logs to a directory with the results of the store's own reader, for a comparison with another reader:
/// `Tools/StoreFormat/read_log.py --check DIRECTORY`.
func formatSuite(_ directory: String, _: String?) async throws -> SuiteResult {
    let folder = URL(fileURLWithPath: directory)
    var number = 0
    for image in StoreImage.all {
        let random = SimulatedFileSystem(seed: 1)
        let flips = (0..<200).map { _ in
            Damage.flip("log", bit: Int(random.randomNumber() % UInt64(image.log.count * 8)))
        }
        var seen: Set<[UInt8]> = []
        for damage in Damage.all(to: image) + flips {
            guard let log = damage.applied(to: image)["log"], seen.insert(log).inserted else { continue }
            try Data(log).write(to: folder.appendingPathComponent("\(number)"))
            try Data(contentLines(ofLog: log).utf8).write(to: folder.appendingPathComponent("\(number).expected"))
            number += 1
        }
    }
    return SuiteResult(summary: "\(number) logs written")
}
