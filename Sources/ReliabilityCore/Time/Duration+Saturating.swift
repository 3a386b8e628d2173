extension Duration {
    /// The whole nanoseconds of this duration, rounded up and clamped to the range of `Int64` (±292 years).
    @inlinable
    package var saturatingNanoseconds: Int64 {
        // Not `components`, which traps from 2^63 seconds on.
        let attoseconds = self.attoseconds
        let high = UInt64(truncatingIfNeeded: attoseconds >> 64)
        if high < 500_000_000 {
            // Less than 2^63 ns and not negative: two divisions of 64 bits by a constant, which are multiplications.
            let low = UInt64(truncatingIfNeeded: attoseconds)
            let upper = (high << 32 | low >> 32).quotientAndRemainder(dividingBy: 1_000_000_000)
            let lower = (upper.remainder << 32 | low & 0xFFFF_FFFF).quotientAndRemainder(dividingBy: 1_000_000_000)
            let nanoseconds = Int64(bitPattern: upper.quotient << 32 | lower.quotient)
            return lower.remainder > 0 ? nanoseconds.saturatingAdd(1) : nanoseconds
        }
        let (quotient, remainder) = attoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return Int64(clamping: remainder > 0 ? quotient + 1 : quotient)
    }
}

extension Int64 {
    /// Returns the sum or the nearest representable value on overflow.
    @inlinable
    package func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    /// Returns the difference or the nearest representable value on overflow.
    @inlinable
    package func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    /// Returns the product or the nearest representable value on overflow.
    @inlinable
    package func saturatingMultiply(_ other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? ((self < 0) == (other < 0) ? .max : .min) : product
    }
}
