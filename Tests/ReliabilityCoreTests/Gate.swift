import ReliabilityCore

/// Holds up one thread until it is opened.
final class Gate: @unchecked Sendable {
    // @unchecked Sendable: `isOpen` is read and written with `monitor` locked only.
    private let monitor = ThreadMonitor()
    private var isOpen = false

    func open() {
        monitor.lock()
        isOpen = true
        monitor.signal()
        monitor.unlock()
    }

    func pass() {
        monitor.lock()
        while !isOpen { monitor.wait(nanoseconds: nil) }
        monitor.unlock()
    }
}
