internal import ReliabilityCore

/// The evaluation of writes and updates.
///
/// A write is evaluated and then performed or planned. A single write looks its key up once, in the evaluation.
extension EntryIndex {
    /// The evaluation of a write, valid until the next change of the index.
    struct WriteStep {
        let place: ItemTree.Place
        /// The item before the write if the item has not expired.
        let current: Item?
        /// A Boolean value that indicates whether the condition holds.
        let holds: Bool
        let delta: StoreDelta
    }

    /// Evaluates a write of `key`, the key of the write.
    func evaluate(_ write: StoreWrite, _ key: KeyBytes, at now: Int64) -> WriteStep {
        let place = place(of: key)
        let current = place.item.flatMap { $0.isExpired(at: now) ? nil : $0 }
        let delta: StoreDelta
        switch write {
        case .put(_, let value, _, _): delta = self.delta(ofPutting: value.count, key, at: place)
        case .delete: delta = current.map { StoreDelta() - $0.entryDelta } ?? StoreDelta()
        case .touch, .check: delta = StoreDelta()
        }
        return WriteStep(place: place, current: current, holds: write.condition.holds(for: current), delta: delta)
    }

    /// Returns the change of the counted size through a value of `count` bytes.
    func delta(ofPutting count: Int, _ key: KeyBytes, at place: ItemTree.Place) -> StoreDelta {
        guard let old = place.item else {
            return StoreDelta(items: 1, bytes: Self.byteCount(key: key.count, value: count))
        }
        return StoreDelta(items: 0, bytes: count - old.valueCount)
    }

    /// Performs an evaluated write.
    ///
    /// - Returns: The version of the entry afterwards, or `nil` if there is no entry.
    mutating func perform(
        _ write: StoreWrite,
        _ key: KeyBytes,
        _ step: WriteStep,
        version: UInt64,
        at now: Int64
    ) -> StoreVersion? {
        switch write {
        case .put(_, let value, let expiry, _):
            let expiresAt = expiry.instant(at: now, keeping: step.current)
            put(key, value, version: version, expiresAt: expiresAt, at: step.place)
            return StoreVersion(rawValue: version)
        case .delete:
            if step.current != nil { remove(at: step.place) }
            return nil
        case .touch(_, let expiry, _):
            guard let current = step.current else { return nil }
            setState(of: current, version: current.version, expiresAt: expiry.instant(at: now, keeping: current))
            return StoreVersion(rawValue: current.version)
        case .check:
            return step.current.map { StoreVersion(rawValue: $0.version) }
        }
    }

    /// Plans an evaluated write.
    ///
    /// - Returns: The mutation, or `nil` if nothing changes, and the version of the entry afterwards.
    func mutation(
        _ write: StoreWrite,
        _ step: WriteStep,
        version: UInt64,
        at now: Int64
    ) -> (mutation: StoreMutation?, version: StoreVersion?) {
        let currentVersion = step.current.map { StoreVersion(rawValue: $0.version) }
        switch write {
        case .put(let key, let value, let expiry, _):
            let expiresAt = expiry.instant(at: now, keeping: step.current)
            let entry = StoredEntry(value: value, version: version, expiresAt: expiresAt)
            return (.put(key, entry), StoreVersion(rawValue: version))
        case .delete(let key, _):
            return (step.current == nil ? nil : .remove(key), nil)
        case .touch(let key, let expiry, _):
            guard let current = step.current else { return (nil, nil) }
            let expiresAt = expiry.instant(at: now, keeping: current)
            let entry = StoredEntry(value: current.value, version: current.version, expiresAt: expiresAt)
            return (.put(key, entry), currentVersion)
        case .check:
            return (nil, currentVersion)
        }
    }

    // MARK: Updates

    /// The evaluation of an update, valid until the next change of the index.
    struct UpdateStep {
        let place: ItemTree.Place
        let effect: AtomicUpdate.Effect
        /// The change of the counted size if the update is made.
        let delta: StoreDelta
    }

    func evaluate(_ update: AtomicUpdate, _ key: KeyBytes, at now: Int64) -> UpdateStep {
        let place = place(of: key)
        let current = place.item.flatMap { $0.isExpired(at: now) ? nil : $0 }
        let effect = update.effect(on: current.flatMap { update.counter($0.valueBytes) }, now: now)
        let count = AtomicUpdate.Counter.byteCount
        let delta = effect.counter == nil ? StoreDelta() : delta(ofPutting: count, key, at: place)
        return UpdateStep(place: place, effect: effect, delta: delta)
    }

    /// Writes the new state of an evaluated update if there is one.
    mutating func perform(_ update: AtomicUpdate, _ key: KeyBytes, _ step: UpdateStep, version: UInt64, at now: Int64) {
        guard let counter = step.effect.counter else { return }
        let expiresAt = unixMilliseconds(after: step.effect.expiresAfter, from: now)
        put(key, AtomicUpdate.Counter.byteCount, version: version, expiresAt: expiresAt, at: step.place) { item in
            unsafe counter.write(to: item.valueBase, tag: update.tag)
        }
    }
}

extension Item {
    /// The counted size of the entry.
    var entryDelta: StoreDelta {
        StoreDelta(items: 1, bytes: EntryIndex.byteCount(key: keyCount, value: valueCount))
    }
}

extension WriteCondition {
    func holds(for current: Item?) -> Bool {
        switch self {
        case .any: true
        case .absent: current == nil
        case .present: current != nil
        case .version(let version): current?.version == version.rawValue
        }
    }
}

extension Expiry {
    /// Returns the expiry in Unix milliseconds, or `nil` if the entry does not expire.
    func instant(at now: Int64, keeping current: Item?) -> Int64? {
        switch self {
        case .never: nil
        case .after(let duration): unixMilliseconds(after: max(duration, .milliseconds(1)), from: now)
        case .keep: current?.expiresAt
        }
    }
}

/// Returns the first whole Unix millisecond at least `duration` after `now`.
func unixMilliseconds(after duration: Duration, from now: Int64) -> Int64 {
    let nanoseconds = now.saturatingAdd(max(0, duration.saturatingNanoseconds))
    let milliseconds = nanoseconds / 1_000_000
    return nanoseconds % 1_000_000 == 0 || duration <= .zero ? milliseconds : milliseconds + 1
}

extension StoreWrite {
    var condition: WriteCondition {
        switch self {
        case .put(_, _, _, let condition), .delete(_, let condition), .touch(_, _, let condition),
            .check(_, let condition):
            condition
        }
    }
}
