internal import ReliabilityCore

/// A gate that blocks one thread until the gate is open.
package final class ThreadGate: @unchecked Sendable {
    // @unchecked Sendable: `isOpen` is read and written only while `monitor` is locked.
    private let monitor = ThreadMonitor()
    private var isOpen = false

    /// Creates a closed gate.
    package init() {}

    /// Opens the gate and resumes the thread that waits at the gate.
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
