import ReliabilityCore
import ReliabilityStore
import ReliabilityTesting
import Testing

@testable import ReliabilityPostgres

@Suite("PostgresCommands")
struct PostgresCommandsTests {
    private func outcome(
        _ answers: [ScriptedTransport.Answer],
        isWrite: Bool
    ) async -> (reason: StoreError.Reason?, attempts: Int, explanation: String) {
        let transport = ScriptedTransport(answers)
        let commands = PostgresCommands(
            .fixed(transport),
            // The pauses between attempts count towards the limit, which a machine under load must not exceed.
            timeout: .seconds(600),
            randomness: RandomSource(SeededGenerator(seed: 1))
        )
        do throws(StoreError) {
            _ = isWrite ? try await commands.write("SELECT 1", []) : try await commands.read("SELECT 1", [])
            return (nil, transport.sent.count, "")
        } catch { return (error.reason, transport.sent.count, error.explanation) }
    }

    @Test("calls beyond the limit are rejected and never sent")
    func waitingCalls() async throws {
        let transport = SilentTransport()
        let commands = PostgresCommands(.fixed(transport), timeout: .seconds(600))
        let rejected = EventRecorder<StoreError.Reason>()
        let calls = (0..<WaitingCalls.limit + 100).map { _ in
            startTask {
                do throws(StoreError) { _ = try await commands.write("SELECT 1", []) } catch {
                    rejected.record(error.reason)
                }
            }
        }
        #expect(await rejected.wait(for: 100).allSatisfy { $0 == .unavailable })
        transport.answer()
        for call in calls { await call.value }
        #expect(rejected.events.count == 100)
        #expect(transport.sentCount == WaitingCalls.limit)
        #expect(try await commands.read("SELECT 1", []).isEmpty)
    }

    @Test("a write without an answer is unknown, a write that was not sent is unavailable, and neither is sent again")
    func lostAnswers() async {
        for (isWrite, isSent, reason) in [
            (true, true, StoreError.Reason.unknownOutcome), (true, false, .unavailable), (false, true, .unavailable),
            (false, false, .unavailable),
        ] {
            let result = await outcome([.failure(isSent: isSent)], isWrite: isWrite)
            #expect(result.reason == reason)
            #expect(result.attempts == 1)
        }
    }

    @Test("a conflict, a deadlock or a held lock is tried three times and then unavailable")
    func conflicts() async {
        for code in ["40001", "40P01", "55P03"] {
            let twice = await outcome([.code(code), .code(code)], isWrite: true)
            #expect(twice.reason == nil)
            #expect(twice.attempts == 3)
            let thrice = await outcome([.code(code), .code(code), .code(code)], isWrite: true)
            #expect(thrice.reason == .unavailable)
            #expect(thrice.attempts == 3)
        }
    }

    @Test("an outdated statement is sent once more, on another connection")
    func outdatedStatements() async {
        for code in ["26000", "0A000"] {
            #expect(await outcome([.code(code)], isWrite: true).reason == nil)
            let twice = await outcome([.code(code), .code(code)], isWrite: true)
            #expect(twice.reason == .failed)
            #expect(twice.attempts == 2)
        }
    }

    @Test(
        "each code of the server has one meaning, and the text of the server is never copied",
        arguments: [
            ("53100", StoreError.Reason.diskFull, StoreError.Reason.diskFull), ("53200", .unavailable, .unavailable),
            ("53300", .unavailable, .unavailable), ("57P03", .unavailable, .unavailable),
            ("57P01", .unknownOutcome, .unavailable), ("57P02", .unknownOutcome, .unavailable),
            ("08006", .unknownOutcome, .unavailable), ("57014", .unavailable, .unavailable),
            ("25006", .unavailable, .unavailable), ("42883", .failed, .failed),
            ("42P01", .failed, .failed), ("3F000", .failed, .failed), ("42501", .failed, .failed),
            ("28P01", .failed, .failed), ("28000", .failed, .failed), ("RL001", .failed, .failed),
            ("XX000", .failed, .failed), ("58030", .failed, .failed), ("22012", .failed, .failed),
        ]
    )
    func codes(code: String, write: StoreError.Reason, read: StoreError.Reason) async {
        for (isWrite, reason) in [(true, write), (false, read)] {
            let result = await outcome([.code(code)], isWrite: isWrite)
            #expect(result.reason == reason)
            #expect(result.attempts == 1)
            #expect(result.explanation.contains(code) && !result.explanation.contains("secret"))
        }
    }

    @Test("an error that the operator of the server can remove is permanent only at the opening of a store")
    func remediableErrors() {
        for (code, isRemediable) in [
            ("42501", true), ("28P01", true), ("28000", true), ("3D000", true), ("42883", true), ("42P01", true),
            ("3F000", true), ("RL001", true), ("26000", true), ("0A000", true), ("58030", true), ("XX000", true),
            ("22012", false), ("42601", false), ("P0001", false),
        ] {
            for isWrite in [true, false] {
                let opening = ServerError(code, isWrite: isWrite).storeError(code, isOpening: true)
                let inUse = StoreError(sqlState: code, isWrite: isWrite)
                #expect(opening.reason == .failed, "\(code)")
                #expect(inUse.reason == (isRemediable ? .unavailable : .failed), "\(code)")
                #expect(inUse.explanation == opening.explanation)
            }
        }
    }

    @Test("N32: only failures of the server count as its failures, and a demoted server is left")
    func reportsLostServers() {
        for (code, isReported) in [
            ("25006", true), ("57P01", true), ("57P03", true), ("08006", true), ("57014", false),
        ] {
            let error = ServerError(code, isWrite: false)
            #expect(error.isOfServer == isReported, "\(code)")
            #expect((error.reaction == .replaceClient) == (code == "25006"), "\(code)")
        }
    }

    @Test("a write in a cancelled task is not sent")
    func cancelledWrites() async {
        let transport = ScriptedTransport([])
        let commands = PostgresCommands(.fixed(transport), timeout: .seconds(3))
        let reason = await Task {
            unsafe withUnsafeCurrentTask { task in unsafe task?.cancel() }
            do throws(StoreError) { _ = try await commands.write("SELECT 1", []) } catch {
                return Optional(error.reason)
            }
            return nil
        }.value
        #expect(reason == .cancelled)
        #expect(transport.sent.isEmpty)
    }
}
