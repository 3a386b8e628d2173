internal import ReliabilityCore
internal import ReliabilityStore

/// The claims of a deduplicator in its store.
// A class: the closures of a call then retain one object in the place of all properties.
final class DedupEngine: Sendable {
    let configuration: Deduplicator.Configuration
    let storeFailure: StoreFailureMode
    let store: GuardedStore<any KeyValueStore>
    let capabilities: StoreCapabilities
    let timeSource: TimeSource
    let writer: SettlementWriter
    let localClaims: LocalClaims
    let events: EventSink<DedupEvent>

    /// Creates the engine of a deduplicator with a valid configuration.
    init(
        _ configuration: Deduplicator.Configuration,
        store: any KeyValueStore,
        storeFailure: StoreFailureMode,
        timeSource: TimeSource,
        localClaims: LocalClaims,
        events: EventSink<DedupEvent>
    ) {
        self.configuration = configuration
        self.storeFailure = storeFailure
        self.timeSource = timeSource
        self.localClaims = localClaims
        self.events = events
        capabilities = store.capabilities
        writer = SettlementWriter(timeSource: timeSource)
        self.store = GuardedStore(
            store,
            canStall: capabilities.canStall,
            timeout: storeFailure.timeout,
            timeSource: timeSource,
            events: events
        )
    }

    /// Reports the rejection of a call.
    ///
    /// - Returns: The error of the call.
    func rejection(
        _ request: DedupRequest,
        _ reason: DedupError.Reason,
        underlyingError: (any Error)? = nil
    ) -> DedupError {
        let error = DedupError(reason, underlyingError: underlyingError)
        events.emit(.rejected(request, error))
        return error
    }

    /// Makes a single write.
    func commit(_ write: StoreWrite) async throws(StoreError) -> WriteResult {
        try await store.write { store throws(StoreError) in try await store.commit(write) }
    }
}
