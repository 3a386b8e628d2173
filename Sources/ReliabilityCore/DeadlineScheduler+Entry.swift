extension DeadlineScheduler {
    /// What a timer queue runs at an instant.
    ///
    /// A subclass is a timer and whatever else it has to be in one object. It is `open`, in a type that only this package
    /// sees, because that is how the modules of a package can inherit from each other's classes.
    @safe open class Entry: @unchecked Sendable {
        // @unchecked Sendable: all of this belongs to the wheel, and is protected by the lock of the queue that has it.
        // First what a cancellation needs, so that it is in one line of the cache.
        // The links are not retained: the wheel holds one reference to every entry that is in it. A retain is an atomic
        // operation, which later reads of the processor cannot overtake.
        final var next: Unmanaged<Entry>?
        final var previous: Unmanaged<Entry>?
        /// The slot of the wheel, or the place in its heap; see ``DeadlineWheel``.
        final var position = Entry.nowhere
        final var instant: Int64 = 0
        final var sequence: UInt64 = 0

        static var nowhere: Int { -1 }

        /// The instant at which the entry is armed, for whoever holds the lock of its queue.
        // Not the stored property: outside of the module, each access to that would be checked at run time.
        package final var armedInstant: Int64 { instant }

        /// Creates an entry that is not armed.
        package init() {}

        /// Does the work: it is short, such as cancelling a task or resuming a continuation.
        ///
        /// It runs once for every time that the entry was armed and not cancelled, outside the queue's lock. The queue
        /// has let go of the entry: it may be armed again.
        open func fire() {}

        /// Lets go of what ``fire()`` would have needed.
        ///
        /// It runs in the call that has cancelled the entry, outside the queue's lock.
        open func cancelled() {}

        /// Whether it comes before another one of the same queue.
        final func isBefore(_ other: Entry) -> Bool {
            instant != other.instant ? instant < other.instant : sequence < other.sequence
        }
    }
}

/// An entry that runs a closure once.
final class ActionEntry: DeadlineScheduler.Entry, @unchecked Sendable {
    // @unchecked Sendable: `action` belongs to whoever has removed the entry from its queue, of whom there is one.
    private var action: (@Sendable () -> Void)?

    convenience init(_ action: @escaping @Sendable () -> Void) {
        self.init()
        self.action = action
    }

    override func fire() { action.take()?() }

    override func cancelled() { action = nil }
}
