extension Duration {
    /// The whole nanoseconds of this duration, rounded up and clamped to what an `Int64` holds (±292 years).
    @inlinable
    package var saturatingNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        var nanoseconds = attoseconds / 1_000_000_000
        if attoseconds > 0, attoseconds % 1_000_000_000 != 0 { nanoseconds += 1 }
        let (sum, overflowed) = scaled.addingReportingOverflow(nanoseconds)
        return overflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// The whole milliseconds of this duration, rounded up and clamped to what an `Int64` holds.
    @inlinable
    package var saturatingMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        var milliseconds = attoseconds / 1_000_000_000_000_000
        if attoseconds > 0, attoseconds % 1_000_000_000_000_000 != 0 { milliseconds += 1 }
        let (sum, overflowed) = scaled.addingReportingOverflow(milliseconds)
        return overflowed ? (seconds < 0 ? .min : .max) : sum
    }
}

extension Int64 {
    /// The sum, or the nearest representable value.
    @inlinable
    package func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    /// The difference, or the nearest representable value.
    @inlinable
    package func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    /// The product, or the nearest representable value.
    @inlinable
    package func saturatingMultiply(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}
