internal import ReliabilityCore

#if canImport(Darwin)
private import Darwin
#elseif canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

extension RandomSource {
    /// Returns a random number with an exponential distribution and the mean 1.
    func exponential() -> Double { -log(unit()) }

    /// Returns a random number above 0 and at most 1.
    func unit() -> Double { Double((next() >> 11) + 1) * 0x1p-53 }
}
