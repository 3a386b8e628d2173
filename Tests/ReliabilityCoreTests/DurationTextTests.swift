import ReliabilityCore
import Testing

@Suite("Duration: text")
struct DurationTextTests {
    @Test(
        "a duration is written in a suitable unit with at most three decimals",
        arguments: [
            (Duration.zero, "0 ns"), (.nanoseconds(999), "999 ns"), (.microseconds(1), "1 µs"),
            (.nanoseconds(1_999_999), "1.999 ms"), (.milliseconds(250), "250 ms"), (.milliseconds(6300), "6.3 s"),
            (.milliseconds(1050), "1.05 s"), (.nanoseconds(1_000_000_001), "1 s"), (.seconds(60), "60 s"),
            (.seconds(119), "119 s"), (.seconds(120), "2 min"), (.seconds(900), "15 min"),
            (.seconds(3661), "1 h 1 min 1 s"),
            (.seconds(72 * 3600), "72 h"), (.seconds(-8), "minus 8 s"), (.seconds(Int64.max), "more than 100 years"),
            (.seconds(Int64.min), "minus more than 100 years"),
        ]
    )
    func text(duration: Duration, text: String) { #expect(duration.text == text) }
}
