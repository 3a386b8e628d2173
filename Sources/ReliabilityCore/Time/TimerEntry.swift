/// A timer of a ``TimerQueue``.
package typealias TimerEntry = Timers.Entry

/// The namespace of the base classes for other modules of this package.
// An `open` class is public unless the class is nested in a type that is not public.
package enum Timers {
    /// An action that a timer queue runs at an instant.
    ///
    /// A subclass combines the timer and the state of its call in a single object, which saves an allocation.
    @safe open class Entry: @unchecked Sendable {
        // @unchecked Sendable: the lock of the queue that owns the wheel protects all properties.
        // The properties that a cancellation needs come first, so that they share a cache line.
        // The links are not retained, because the wheel holds a reference to each of its entries. A retain is an atomic
        // operation, which delays later reads of the processor.
        final var next: Unmanaged<Entry>?
        final var previous: Unmanaged<Entry>?
        /// The slot in the ``DeadlineWheel`` or the position in the wheel's heap.
        final var position = Entry.noPosition
        final var instant: Int64 = 0
        final var sequence: UInt64 = 0

        static var noPosition: Int { -1 }

        /// The instant at which the entry is armed.
        ///
        /// - Precondition: The caller holds the lock of the entry's queue.
        // Other modules do not read the stored property, because each access would be checked at run time.
        package final var armedInstant: Int64 { instant }

        /// Creates an entry that is not armed.
        package init() {}

        /// Performs the action, which must be short, such as the cancellation of a task.
        ///
        /// The method runs once each time the entry was armed and not cancelled, outside the queue's lock. The queue
        /// has released the entry, which may be armed again.
        open func fire() {}

        /// Releases the resources of ``fire()``.
        ///
        /// The method runs in the call that cancelled the entry, outside the queue's lock.
        open func cancelled() {}

        /// Returns whether this entry precedes another entry of the same queue.
        final func isBefore(_ other: Entry) -> Bool {
            instant != other.instant ? instant < other.instant : sequence < other.sequence
        }
    }
}

/// An entry that runs a closure once.
final class ActionEntry: TimerEntry, @unchecked Sendable {
    // @unchecked Sendable: only the single caller that removed the entry from its queue accesses `action`.
    private var action: (@Sendable () -> Void)?

    convenience init(_ action: @escaping @Sendable () -> Void) {
        self.init()
        self.action = action
    }

    override func fire() { action.take()?() }

    override func cancelled() { action = nil }
}
