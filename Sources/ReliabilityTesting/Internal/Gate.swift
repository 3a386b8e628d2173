internal import ReliabilityCore

/// Holds up one thread until it is opened.
package final class Gate: @unchecked Sendable {
    // @unchecked Sendable: `isOpen` is read and written with `monitor` locked only.
    private let monitor = ThreadMonitor()
    private var isOpen = false

    /// Creates a closed gate.
    package init() {}

    /// Lets the thread pass, now or when it comes.
    package func open() {
        monitor.lock()
        isOpen = true
        monitor.signal()
        monitor.unlock()
    }

    /// Blocks the thread until the gate is open.
    package func pass() {
        monitor.lock()
        while !isOpen { monitor.wait(nanoseconds: nil) }
        monitor.unlock()
    }
}
