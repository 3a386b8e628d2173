import Testing

@testable import ReliabilityWebhooks

@Suite("Retry-After of a response")
struct RetryAfterTests {
    /// 6 November 1994, 08:49:37.
    private static let now: Int64 = 784_111_777

    @Test("W28: each form is clamped to the scheduled wait and its double, and never trusted beyond")
    func table() {
        let table: [([String], Int)] = [
            ([], 100), (["120"], 120), (["120.1"], 121), (["120.0"], 120), (["99"], 100), (["0"], 100), (["200"], 200),
            (["201"], 200), (["1000000000"], 200), (["99999999999999999999999999"], 200), (["-120"], 100),
            (["+120"], 100), (["1e3"], 100), ([" 120"], 100), (["120 "], 100), (["120."], 100), ([".5"], 100),
            (["120.x"], 100), (["nan"], 100), (["١٢٠"], 100), ([""], 100), (["120", "150"], 100), (["120, 150"], 100),
            (["Sun, 06 Nov 1994 08:51:47 GMT"], 130), (["Sun, 06 Nov 1994 08:49:37 GMT"], 100),
            (["Sun, 06 Nov 1994 08:00:00 GMT"], 100), (["Mon, 07 Nov 1994 08:49:37 GMT"], 200),
            (["Fri, 31 Dec 9999 23:59:59 GMT"], 200), (["Sat, 01 Jan 0000 00:00:00 GMT"], 100),
            (["Sun, 06 Nov 1994 08:51:47 CET"], 100), (["Sun, 32 Nov 1994 08:51:47 GMT"], 100),
            (["Sun, 06 Foo 1994 08:51:47 GMT"], 100), (["Sun, 06 Nov 1994 24:51:47 GMT"], 100),
            (["Sunday, 06-Nov-94 08:51:47 GMT"], 100), ([String(repeating: "9", count: 1_000_000)], 200),
        ]
        for (values, seconds) in table {
            let wait = RetryAfter.wait(values, scheduled: .seconds(100), unixSeconds: Self.now)
            #expect(wait == .seconds(seconds), "\(values.map { $0.prefix(40) })")
        }
    }

    @Test("dates around leap days and the ends of years are exact")
    func dates() {
        let table: [(String, Int64)] = [
            ("Thu, 01 Jan 1970 00:00:50 GMT", 0), ("Tue, 29 Feb 2000 00:00:50 GMT", 951_782_400),
            ("Wed, 01 Mar 2000 00:00:50 GMT", 951_868_800), ("Sun, 31 Dec 2023 00:00:50 GMT", 1_703_980_800),
            ("Mon, 01 Jan 2024 00:00:50 GMT", 1_704_067_200), ("Fri, 01 Mar 2024 00:00:50 GMT", 1_709_251_200),
            ("Mon, 01 Mar 2100 00:00:50 GMT", 4_107_542_400),
        ]
        for (date, midnight) in table {
            let wait = RetryAfter.wait([date], scheduled: .seconds(30), unixSeconds: midnight)
            #expect(wait == .seconds(50), "\(date)")
        }
    }
}
