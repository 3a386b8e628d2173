import ReliabilityCore
import TestSupport
import Testing
import Validation

@Suite("Validator configuration")
struct ConfigurationTests {
    private func problems(of configuration: Validator.Configuration) -> [String] {
        do throws(ConfigurationError) {
            try configuration.validate()
            return []
        } catch {
            return error.problems
        }
    }

    @Test("The standard configuration and the bounds of every limit are valid")
    func valid() {
        let least = Validator.Configuration(
            maxBodyBytes: 1,
            maxDepth: 1,
            maxStringBytes: 1,
            maxNumberBytes: 1,
            maxArrayItems: 1,
            maxObjectMembers: 1,
            maxValues: 1,
            maxIssues: 1
        )
        let greatest = Validator.Configuration(
            maxBodyBytes: 1 << 30,
            maxDepth: 1024,
            maxStringBytes: .max,
            maxNumberBytes: .max,
            maxArrayItems: .max,
            maxObjectMembers: .max,
            maxValues: .max,
            maxIssues: 1000
        )
        for configuration in [.standard, least, greatest] { #expect(problems(of: configuration) == []) }
    }

    @Test("Every problem is reported with its value")
    func everyProblem() {
        let configuration = Validator.Configuration(
            maxBodyBytes: 0,
            maxDepth: 1025,
            maxStringBytes: 0,
            maxNumberBytes: -1,
            maxArrayItems: 0,
            maxObjectMembers: 0,
            maxValues: 0,
            maxIssues: 1001
        )
        #expect(
            problems(of: configuration) == [
                "maxBodyBytes must be from 1 to 1,073,741,824 (is 0)", "maxDepth must be from 1 to 1,024 (is 1025)",
                "maxStringBytes must be at least 1 (is 0)", "maxNumberBytes must be at least 1 (is -1)",
                "maxArrayItems must be at least 1 (is 0)", "maxObjectMembers must be at least 1 (is 0)",
                "maxValues must be at least 1 (is 0)", "maxIssues must be from 1 to 1,000 (is 1001)",
            ]
        )
        #expect(problems(of: .init(maxBodyBytes: (1 << 30) + 1)) != [])
        #expect(problems(of: .init(maxDepth: 0)) != [])
        #expect(problems(of: .init(maxIssues: 0)) != [])
    }

    @Test("A validator with an invalid configuration ends the process and prints every problem")
    func endsProcess() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Validator(.init(maxDepth: 0, maxValues: 0))
            }
        )
        let printed = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(printed.contains("maxDepth must be from 1 to 1,024 (is 0)"))
        #expect(printed.contains("maxValues must be at least 1 (is 0)"))
    }

    @Test("A validator rejects unknown keys unless configured otherwise")
    func unknownKeys() {
        #expect(Validator().configuration == .standard)
        #expect(Validator.Configuration.standard.unknownKeys == .reject)
    }
}
